"""When a run settled, where the truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from loadproof.analysis.estimates.steady import settling, too_alike
from simulation.rundirs import open_scenario
from simulation.traffic import poisson, run_of

PHASES = [
    {"name": "warm-up", "warm_up": True, "duration": "20 s", "rate": "50 rps"},
    {"name": "steady", "duration": "220 s", "rate": "50 rps"},
]
PLAN = open_scenario(phases=PHASES, mix={"balance": {"share": "100 %"}}, thresholds=[{"expect": "goodput > 1 rps"}])


def test_only_phases_that_thresholds_read_have_to_be_long():
    """Other phases may be as short as you like."""
    phases = [{"name": name, "duration": "60 s", "rate": "50 rps"} for name in ("stairs", "steady")]
    expected = [{"phase": "steady", "expect": "goodput > 1 rps"}]
    plan = open_scenario(phases=phases, mix={"balance": {"share": "100 %"}}, thresholds=expected)
    random = np.random.default_rng(1)
    at_s = poisson(random, plan)
    run = run_of(plan, at_s, np.where(at_s < 90, 0.02 + at_s % 60 / 1000, 0.1 - (at_s - 90) / 1000))
    assert [alike.phase for alike in too_alike(run)] == ["steady"]


@pytest.mark.parametrize(("slow_s", "too_late"), [(0, False), (15, False), (50, True)])
def test_the_end_of_a_slow_start_is_found(slow_s, too_late):
    """Within two batches; and whether the warm-up ended too early."""
    random = np.random.default_rng(3)
    at_s = poisson(random, PLAN)
    response_s = random.lognormal(np.log(np.where(at_s < slow_s, 0.2, 0.02)), 0.4)
    found = settling(run_of(PLAN, at_s, response_s))
    assert found.settled_s == pytest.approx(slow_s, abs=10)
    assert found.is_too_late == too_late


def test_response_times_that_keep_growing_never_settle():
    """Which is a valid result."""
    random = np.random.default_rng(3)
    at_s = poisson(random, PLAN)
    found = settling(run_of(PLAN, at_s, random.lognormal(np.log(0.02 + at_s / 100), 0.2)))
    assert (found.settled_s, found.is_too_late) == (None, True)


def test_without_a_warm_up_there_is_nothing_to_check():
    """Nor with a warm-up at a different load."""
    at_s, response_s = np.linspace(0, 239, 12_000), np.full(12_000, 0.02)
    for first in ({**PHASES[0], "warm_up": False}, {**PHASES[0], "rate": "20 rps"}):
        plan = open_scenario(
            phases=[first, PHASES[1]],
            mix={"balance": {"share": "100 %"}},
            thresholds=[{"expect": "goodput > 1 rps"}],
        )
        assert settling(run_of(plan, at_s, response_s)) is None
