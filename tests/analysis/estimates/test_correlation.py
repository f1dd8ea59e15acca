"""How correlated neighbouring seconds are, and how much that widens an interval."""

from __future__ import annotations

import numpy as np
import pytest

from loadproof.analysis.estimates.correlation import block_length, design_effect, half_width_of_mean
from simulation.traffic import autocorrelated

SECONDS = 600
RPS = 50
PHASE = np.zeros(SECONDS, dtype=int)


@pytest.mark.slow
def test_blocks_grow_with_the_correlation():
    """Starting from the shortest length in use."""
    random = np.random.default_rng(5)
    lengths = [
        np.median([block_length(autocorrelated(random, SECONDS, phi=phi)) for _ in range(50)])
        for phi in (0.0, 0.5, 0.9)
    ]
    assert lengths[0] == np.ceil(SECONDS ** (1 / 3))
    assert lengths == sorted(lengths)
    assert 45 <= lengths[-1] <= 100


def test_planned_changes_are_not_noise():
    """Two phases with different levels are not correlation."""
    random = np.random.default_rng(6)
    sizes = np.full(SECONDS, RPS)
    hits = random.binomial(RPS, np.repeat([0.01, 0.2], SECONDS // 2))
    assert design_effect(hits, sizes, np.repeat([0, 1], SECONDS // 2)) < 1.5
    assert design_effect(hits, sizes, PHASE) > 10


def test_too_few_samples_are_treated_as_independent():
    """A few seconds, or no hits at all."""
    assert design_effect(np.array([1, 2]), np.array([5, 5]), np.zeros(2, dtype=int)) == 1
    assert design_effect(np.zeros(60, dtype=int), np.full(60, 5), np.zeros(60, dtype=int)) == 1
    assert half_width_of_mean(np.array([5]), np.zeros(1, dtype=int)) == np.inf
    assert block_length(np.zeros(100)) == 5


@pytest.mark.parametrize(
    ("counts", "planned"),
    [
        ([0, 0, 0, 0, 0, 96, 0, 0, 0, 0], [0, 0, 0, 0, 0, 100, 0, 0, 0, 0]),
        ([48, 96], [50, 100]),
    ],
    ids=["one burst", "a ramp of two seconds"],
)
def test_a_fit_without_anything_left_over_says_nothing_about_chance(counts, planned):
    """A level, or a level and a slope, go through so few points whatever the target does."""
    zeros = np.zeros(len(counts), dtype=int)
    assert half_width_of_mean(np.array(counts), zeros, np.array(planned, dtype=float)) == np.inf


def test_a_few_bursts_are_less_certain_than_as_many_seconds():
    """Only the seconds with a burst show how much one differs from another."""
    planned = np.zeros(60)
    planned[[10, 25, 40]] = 100.0
    counts = planned.astype(int)
    counts[[10, 40]] -= [4, 1]
    width = half_width_of_mean(counts, np.zeros(60, dtype=int), planned)
    # Student's t with two degrees of freedom, on the standard deviation of the three bursts.
    assert width > 4.3 * np.std([96, 100, 99], ddof=1) * 3**0.5 / 60 * 0.9
    assert half_width_of_mean(-counts + 200, np.zeros(60, dtype=int), planned) > 5


def test_counts_that_follow_the_planned_load_are_certain():
    """However it grows; an outage is not planned, and phases without a plan are unaffected."""
    planned = np.minimum(np.arange(60.0), 40.0)
    phase = np.zeros(60, dtype=int)
    counts = (2 * planned).astype(int)
    assert half_width_of_mean(counts, phase, planned) == pytest.approx(0.0, abs=1e-9)
    assert half_width_of_mean(counts, phase, np.zeros(60)) == half_width_of_mean(counts, phase) > 20
    out = np.where((phase == 0) & (np.arange(60) >= 50), 0, counts)
    assert half_width_of_mean(out, phase, planned) > 10
