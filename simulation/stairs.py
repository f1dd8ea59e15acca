"""Load that goes up in steps, served by a queue of known capacity."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from simulation.rundirs import open_scenario
from simulation.traffic import poisson, queue, run_of

if TYPE_CHECKING:
    from loadproof.analysis.frames.run import Run
    from loadproof.scenario.scenario import Scenario

RATES: Final = (50, 100, 150, 200, 250, 300)
CAPACITY_RPS: Final = 200
_SERVERS: Final = 4


def stairs(rates: Sequence[int] = RATES, *, seconds: int = 40, **changes: Any) -> Scenario:
    """A phase per rate in requests per second, named `at-50`; a repeated rate gets `at-50-2` and so on."""
    times: Counter[int] = Counter()
    phases = []
    for rate in rates:
        times[rate] += 1
        name = f"at-{rate}" if times[rate] == 1 else f"at-{rate}-{times[rate]}"
        phases.append({"name": name, "duration": f"{seconds} s", "rate": f"{rate} rps"})
    content = {
        "phases": phases,
        "mix": {"balance": {"share": "100 %"}},
        "thresholds": [{"expect": "goodput_ratio >= 98 %"}, {"expect": "p(95) < 400 ms"}],
    }
    return open_scenario(**content | changes)


def served(plan: Scenario, *, capacity_rps: float = CAPACITY_RPS, seed: int = 1) -> Run:
    """The plan served by four servers with one queue (M/M/4) and this total capacity."""
    random = np.random.default_rng(seed)
    at_s = poisson(random, plan)
    service_s = random.exponential(_SERVERS / capacity_rps, at_s.size)
    return run_of(plan, at_s, queue(at_s, service_s, servers=_SERVERS))
