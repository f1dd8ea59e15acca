"""How certain the mean of per-second counts is."""

from __future__ import annotations

import numpy as np
import pytest

from loadproof.analysis.estimates.countmean import half_width_of_mean


def test_a_single_second_says_nothing_about_chance():
    """There is nothing to compare it with."""
    assert half_width_of_mean(np.array([5]), np.zeros(1, dtype=int)) == np.inf


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
