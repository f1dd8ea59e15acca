"""Intervals of independent samples cover the truth as often as they claim."""

from __future__ import annotations

import math

import numpy as np
import pytest

from loadproof.analysis.estimates.countmean import half_width_of_mean
from loadproof.analysis.estimates.estimate import mean_estimate, quantile_estimate, rate_estimate, ratio_estimate
from simulation.traffic import counts_of
from tests.profiles import fewest_by_chance, most_by_chance, simulations

pytestmark = pytest.mark.statistics


@pytest.mark.parametrize(("quantile", "n"), [(0.5, 60), (0.9, 185), (0.95, 300), (0.99, 1500)])
def test_quantile_intervals_cover_the_truth(quantile, n):
    """For lognormal samples, in at least 95 % of cases; buckets may only widen them."""
    random = np.random.default_rng(11)
    truth = math.exp(-4 + 0.5 * {0.5: 0.0, 0.9: 1.281552, 0.95: 1.644854, 0.99: 2.326348}[quantile])
    covered, times = 0, simulations(2000)
    for _ in range(times):
        found = quantile_estimate(counts_of(random.lognormal(-4, 0.5, n)), quantile)
        covered += found.low <= truth <= found.high
        assert found.low <= found.value <= found.high
    assert fewest_by_chance(times, 0.95) <= covered <= most_by_chance(times, 0.985)


@pytest.mark.parametrize(("ratio", "n"), [(0.01, 500), (0.1, 100), (0.5, 40), (0.99, 500)])
def test_ratio_intervals_cover_the_truth(ratio, n):
    """Wilson intervals: about 95 % on average over n, never far below."""
    random = np.random.default_rng(12)
    hits = random.binomial(n, ratio, times := simulations(4000))
    covered = sum(found.low <= ratio <= found.high for found in (ratio_estimate(int(k), n) for k in hits))
    assert fewest_by_chance(times, 0.94) <= covered <= most_by_chance(times, 0.98)


def test_rate_intervals_cover_the_truth():
    """With few, independent seconds; they cover rather too often."""
    random = np.random.default_rng(13)
    covered, times = 0, simulations(2000)
    for _ in range(times):
        counted = random.poisson(40, 30)
        found = rate_estimate(counted, half_width_of_mean(counted, np.zeros(30, dtype=int)))
        covered += found.low <= 40 <= found.high
    assert fewest_by_chance(times, 0.95) <= covered <= most_by_chance(times, 0.98)


@pytest.mark.parametrize("ramp_s", [10, 40])
def test_rate_intervals_of_a_planned_ramp_cover_the_truth_without_being_too_wide(ramp_s):
    """Planned growth is no noise: only the randomness of arrivals counts."""
    random = np.random.default_rng(15)
    planned = 40 * np.minimum((np.arange(60) + 0.5) / ramp_s, 1.0)
    covered, times = 0, simulations(1000)
    halves = []
    for _ in range(times):
        counted = random.poisson(planned)
        halves.append(half_width_of_mean(counted, np.zeros(60, dtype=int), planned))
        covered += abs(float(counted.mean()) - planned.mean()) <= halves[-1]
    assert fewest_by_chance(times, 0.93) <= covered <= most_by_chance(times, 0.99)
    assert np.median(halves) < 2 * 1.96 * math.sqrt(planned.mean() / 60)


def test_mean_intervals_cover_the_truth():
    """Mean of 400 lognormal values: the normal interval is close enough."""
    random = np.random.default_rng(14)
    truth = math.exp(-4 + 0.5**2 / 2)
    covered, times = 0, simulations(2000)
    for _ in range(times):
        found = mean_estimate(counts_of(random.lognormal(-4, 0.5, 400)))
        covered += found.low <= truth <= found.high
    assert fewest_by_chance(times, 0.94) <= covered <= most_by_chance(times, 0.97)
