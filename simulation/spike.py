"""A spike between two calm phases, and the target's recovery from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from simulation.rundirs import open_scenario
from simulation.traffic import poisson, run_of

if TYPE_CHECKING:
    from loadproof.analysis.frames.run import Run
    from loadproof.scenario.scenario import Scenario

PHASES: Final = [
    {"name": "calm", "duration": "30 s", "rate": "50 rps"},
    {"name": "spike", "duration": "20 s", "rate": "200 rps"},
    {"name": "after", "duration": "60 s", "rate": "50 rps"},
]
_SPIKE_S: Final = 30
_AFTER_S: Final = 50
RECOVERY: Final = {"phase": "after", "expect": "recovery <= 10 s"}


def spike_plan(**changes: Any) -> Scenario:
    content = {"phases": PHASES, "thresholds": [RECOVERY, {"expect": "goodput_ratio >= 1 %"}]}
    return open_scenario(**content | changes)


def spiked(
    *,
    slow_until_s: float,
    good_from_s: float = 0.0,
    failing: float = 1.0,
    relapse: range = range(0),
    seed: int = 2,
) -> Run:
    """Median 20 ms, but 200 ms from the spike until `slow_until_s` and in `relapse`.

    From the spike until `good_from_s`, `failing` (0–1) of the requests are server errors.
    """
    random = np.random.default_rng(seed)
    plan = spike_plan()
    at_s = poisson(random, plan)
    slow = (at_s >= _SPIKE_S) & (at_s < max(_AFTER_S, slow_until_s)) | np.isin(at_s.astype(int), relapse)
    response_s = random.lognormal(np.log(np.where(slow, 0.2, 0.02)), 0.4)
    fails = (at_s >= _SPIKE_S) & (at_s < good_from_s) & (random.uniform(size=at_s.size) < failing)
    return run_of(plan, at_s, response_s, np.where(fails, "server_error", "ok"))
