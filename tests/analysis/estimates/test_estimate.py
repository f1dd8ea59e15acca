"""Intervals keep what they promise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.estimates.correlation import half_width_of_mean
from analysis.estimates.estimate import exact, mean_estimate, quantile_estimate, rate_estimate, ratio_estimate
from loadproof.histogram import BUCKETS, bucket_of


def counts_of(values_s: np.ndarray) -> np.ndarray:
    return np.bincount([bucket_of(round(value * 1e6)) for value in values_s], minlength=BUCKETS)


@pytest.mark.parametrize(("quantile", "n"), [(0.5, 60), (0.9, 185), (0.95, 300), (0.99, 1500)])
def test_quantile_intervals_cover_the_truth(quantile, n):
    """In at least 94 % of 1,000 lognormal samples; buckets may only widen."""
    random = np.random.default_rng(11)
    truth = math.exp(-4 + 0.5 * {0.5: 0.0, 0.9: 1.281552, 0.95: 1.644854, 0.99: 2.326348}[quantile])
    covered = 0
    for _ in range(1000):
        found = quantile_estimate(counts_of(random.lognormal(-4, 0.5, n)), quantile)
        covered += found.low <= truth <= found.high
        assert found.low <= found.value <= found.high
    assert 940 <= covered <= 995


def test_more_hits_than_samples_are_all_of_them():
    """As a damaged file may have them."""
    assert ratio_estimate(5, 3) == ratio_estimate(3, 3)


@pytest.mark.parametrize(("ratio", "n"), [(0.01, 500), (0.1, 100), (0.5, 40), (0.99, 500)])
def test_ratio_intervals_cover_the_truth(ratio, n):
    """Wilson: about 95 % on average over n, never far below."""
    random = np.random.default_rng(12)
    hits = random.binomial(n, ratio, 1000)
    covered = sum(found.low <= ratio <= found.high for found in (ratio_estimate(int(k), n) for k in hits))
    assert covered >= 920


def test_rate_intervals_cover_the_truth():
    """Of few and independent seconds, rather too often."""
    random = np.random.default_rng(13)
    covered = 0
    for _ in range(1000):
        counted = random.poisson(40, 30)
        found = rate_estimate(counted, half_width_of_mean(counted, np.zeros(30, dtype=int)))
        covered += found.low <= 40 <= found.high
    assert 930 <= covered <= 985


def test_mean_intervals_cover_the_truth():
    """Of a lognormal mean with 400 values: the normal interval is near enough."""
    random = np.random.default_rng(14)
    truth = math.exp(-4 + 0.5**2 / 2)
    covered = 0
    for _ in range(500):
        found = mean_estimate(counts_of(random.lognormal(-4, 0.5, 400)))
        covered += found.low <= truth <= found.high
    assert covered >= 455


def test_too_few_values_have_no_upper_bound():
    """The 95 % quantile of ten values may lie anywhere above."""
    found = quantile_estimate(counts_of(np.full(10, 0.1)), 0.95)
    assert math.isinf(found.high)
    assert found.value == pytest.approx(0.1, rel=0.004)


def test_nothing_is_estimated_from_nothing():
    """None, not zero: no data is never a pass."""
    empty = np.zeros(BUCKETS, dtype=int)
    assert quantile_estimate(empty, 0.5) is None
    assert mean_estimate(empty) is None
    assert ratio_estimate(0, 0) is None
    assert rate_estimate(np.array([], dtype=int), 0.0) is None


def test_single_samples_bound_little():
    """One second, or one value."""
    assert math.isinf(rate_estimate(np.array([5]), half_width_of_mean(np.array([5]), np.zeros(1, dtype=int))).high)
    assert math.isinf(mean_estimate(counts_of(np.array([0.2]))).high)
    assert exact(3.0, 2) == exact(3.0, 2)


@given(st.integers(1, 10_000))
def test_no_error_in_n_shows_a_ratio_of_about_three_to_four_in_n(n):
    """The rule of three, by Wilson's bound."""
    found = ratio_estimate(0, n)
    assert (found.value, found.low) == (0.0, 0.0)
    assert found.high == pytest.approx(3.84 / (n + 3.84), rel=1e-2)
