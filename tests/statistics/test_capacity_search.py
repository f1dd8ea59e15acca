"""The interval of a capacity search covers the known truth of simulated targets as often as it claims."""

from __future__ import annotations

import numpy as np
import pytest

from loadproof.analysis.capacity.capacity import Found, capacity_of
from loadproof.cli.capacity.capacity import known_by
from loadproof.run.experiments.capacity import TrialPlan
from simulation.trials import STEADY_RPS, LogisticTarget, SingleServer, half_rps, search_for
from tests.profiles import most_by_chance, simulations

pytestmark = [pytest.mark.statistics, pytest.mark.long]

SEARCH = search_for(100.0, 4000.0)


def searched(measure):
    """The result of one complete search."""
    plan = TrialPlan(SEARCH, measure, known_by(SEARCH), clock=lambda: 0.0)
    plan.make()
    return capacity_of(SEARCH, plan.trials)


def test_the_interval_covers_the_capacity_of_a_single_server():
    """Both the load at which half of the trials keep the goal, and the long-run capacity, which is close to it."""
    truth = half_rps(SingleServer(np.random.default_rng(5)).losses, 10.0, low=800.0, high=900.0)
    assert truth == pytest.approx(STEADY_RPS, rel=0.01)
    times, missed, beside = simulations(60), 0, 0
    for seed in range(times):
        result = searched(SingleServer(np.random.default_rng(1000 + seed)).measure)
        half = result.together.half
        missed += not half.low <= truth <= half.high
        beside += not (result.together.lower_rps or 0) <= truth <= (result.together.upper_rps or 0)
    assert missed <= most_by_chance(times, 0.05)
    assert beside > most_by_chance(times, 0.05), "bounds alone would do"


@pytest.mark.parametrize(("slope", "most"), [(20.0, 0.13), (60.0, 0.08), (300.0, 0.01)])
def test_the_interval_covers_the_middle_of_a_logistic_curve(slope, most):
    """Somewhat less often if the curve is so flat that trials close to the middle say little."""
    times, missed = simulations(80), 0
    for seed in range(times):
        result = searched(LogisticTarget(np.random.default_rng(2000 + seed), 975.0, slope).measure)
        if result.found is Found.FOUND:
            missed += not result.together.half.low <= 975.0 <= result.together.half.high
    assert missed <= most_by_chance(times, most)
