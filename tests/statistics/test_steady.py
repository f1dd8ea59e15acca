"""The correlation of seconds, and when a run has settled, are judged correctly in most runs."""

from __future__ import annotations

import numpy as np
import pytest

from loadproof.analysis.estimates.steady import Alike, mser5, too_alike
from simulation.rundirs import open_scenario
from simulation.traffic import autocorrelated, poisson, run_of
from tests.profiles import fewest_by_chance, most_by_chance, simulations

pytestmark = pytest.mark.statistics


def alike_in(seconds: int, *, phi: float, seed: int) -> list[Alike]:
    """Findings in a run with this correlation of its seconds."""
    phases = [{"name": "steady", "duration": f"{seconds} s", "rate": "50 rps"}]
    plan = open_scenario(phases=phases, mix={"balance": {"share": "100 %"}}, thresholds=[{"expect": "goodput > 1 rps"}])
    random = np.random.default_rng(seed)
    at_s = poisson(random, plan)
    level = np.exp(0.5 * autocorrelated(random, seconds, phi=phi))
    return list(too_alike(run_of(plan, at_s, 0.02 * level[at_s.astype(int)] * random.lognormal(0, 0.2, at_s.size))))


@pytest.mark.parametrize(
    ("seconds", "phi", "least", "most"),
    [
        (12, 0.0, 0, 0.05),
        (60, 0.0, 0, 0.02),
        # With so few seconds, one run in eight looks more correlated than it is.
        (30, 0.3, 0, 0.15),
        (60, 0.9, 0.85, 1),
        (120, 0.9, 0.6, 1),
        (600, 0.9, 0, 0.02),
    ],
)
def test_a_phase_too_short_for_the_correlation_of_its_seconds_is_reported(seconds, phi, least, most):
    """In most such runs and in hardly any other, with the length that it should have."""
    times = simulations(60)
    found = [alike for seed in range(times) for alike in alike_in(seconds, phi=phi, seed=seed)]
    assert fewest_by_chance(times, least) <= len(found) <= most_by_chance(times, most)
    assert all(alike.enough_s > seconds for alike in found)


def test_pure_noise_settles_within_a_usual_warm_up():
    """In nine of ten runs, correlated or not."""
    random = np.random.default_rng(5)
    for phi in (0.0, 0.5):
        cuts = [mser5(autocorrelated(random, 300, phi=phi)) for _ in range(simulations(400))]
        assert sum(cut is not None and cut <= 30 for cut in cuts) >= fewest_by_chance(len(cuts), 0.9)
