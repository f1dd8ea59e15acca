"""The capacity of simulated queues is found."""

from __future__ import annotations

import pytest

from loadproof.analysis.judge.loadcurve import load_curve
from simulation.stairs import CAPACITY_RPS, served, stairs
from tests.profiles import simulations

pytestmark = pytest.mark.statistics


@pytest.mark.long
def test_the_capacity_of_a_queue_lies_between_the_steps_that_enclose_it():
    """M/M/4 with 200 rps: the step below holds and the step above breaks, whatever the seed."""
    plan = stairs()
    for seed in range(simulations(40)):
        curve = load_curve(served(plan, seed=seed))
        assert curve.held.offered_rps <= CAPACITY_RPS * 1.05
        assert curve.broke.offered_rps >= CAPACITY_RPS * 0.95
        assert curve.rising.index(curve.broke) - curve.rising.index(curve.held) <= 2
