"""Ten minutes of steady load with response times that follow a given course."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from loadproof.analysis.estimates.scope import Scope
from simulation.rundirs import open_scenario
from simulation.traffic import Times, poisson, run_of

if TYPE_CHECKING:
    from loadproof.analysis.frames.run import Run
    from loadproof.scenario.scenario import Scenario

SECONDS: Final = 600
SOAK: Final = {"name": "soak", "duration": f"{SECONDS} s", "rate": "20 rps"}
"""The only phase."""
SCOPE: Final = Scope((SOAK["name"],), ("balance",))


def soak_plan(expect: str, **changes: Any) -> Scenario:
    """The plan with this threshold on its phase."""
    content = {
        "phases": [SOAK],
        "mix": {"balance": {"share": "100 %"}},
        "thresholds": [{"phase": "soak", "expect": expect}, {"expect": "goodput > 1 rps"}],
    }
    return open_scenario(**content | changes)


def soaked(expect: str, level: Times, *, seed: int = 1) -> Run:
    """Lognormal response times with median 20 ms times exp(level) of their second; `level` has shape (SECONDS,)."""
    plan = soak_plan(expect)
    random = np.random.default_rng(seed)
    at_s = poisson(random, plan)
    return run_of(plan, at_s, 0.02 * np.exp(level[at_s.astype(int)] + random.normal(0, 0.4, at_s.size)))
