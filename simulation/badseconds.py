"""A minute of steady load with seconds in which the target is slow, fails or gets no requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from simulation.rundirs import open_scenario
from simulation.traffic import poisson, run_of

if TYPE_CHECKING:
    from loadproof.analysis.frames.run import Run
    from loadproof.scenario.scenario import Scenario

SIGMA: Final = 0.4
"""Standard deviation of the logarithms of response times."""


def minute_plan(expect: str) -> Scenario:
    """100 requests per second, with this threshold on them."""
    return open_scenario(
        phases=[{"name": "steady", "duration": "60 s", "rate": "100 rps"}],
        mix={"balance": {"share": "100 %"}},
        thresholds=[{"expect": expect}, {"expect": "goodput > 1 rps"}],
    )


def minute(
    expect: str,
    *,
    slow: range = range(0),
    failing: range = range(0),
    silent: range = range(0),
    part: float = 1.0,
    seed: int = 1,
) -> Run:
    """Median 20 ms, 200 ms in slow seconds; `part` (0–1) of the requests fail in failing seconds.

    No requests are sent in silent seconds.
    """
    plan = minute_plan(expect)
    random = np.random.default_rng(seed)
    at_s = poisson(random, plan)
    at_s = at_s[~np.isin(at_s.astype(int), silent)]
    second = at_s.astype(int)
    response_s = random.lognormal(np.log(np.where(np.isin(second, slow), 0.2, 0.02)), SIGMA)
    fails = np.isin(second, failing) & (random.uniform(size=at_s.size) < part)
    return run_of(plan, at_s, response_s, np.where(fails, "server_error", "ok"))
