"""A change between groups of runs: Welch's test on logarithms, or within blocks of runs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from loadproof.analysis.compare.statistics.welch import BUCKET_SD, Scale, change, mean_of_runs

WAS = np.array([0.200, 0.206, 0.195, 0.203, 0.199])
NOW = np.array([0.221, 0.231, 0.214, 0.222, 0.226, 0.219])


def test_it_is_welchs_test_on_logarithms():
    """As computed by SciPy, with its interval as a ratio."""
    found = change(WAS, NOW)
    expected = stats.ttest_ind(np.log(NOW), np.log(WAS), equal_var=False)
    interval = expected.confidence_interval()
    assert found.ratio == pytest.approx(stats.gmean(NOW) / stats.gmean(WAS) - 1)
    assert (found.low, found.high) == pytest.approx((math.expm1(interval.low), math.expm1(interval.high)))
    assert (found.p, found.degrees) == pytest.approx((expected.pvalue, expected.df))
    assert (found.baseline_n, found.candidate_n) == (5, 6)
    assert found.standard_error == pytest.approx(found.difference / expected.statistic)


def test_shares_of_requests_are_compared_as_they_are():
    """Zero has no logarithm."""
    found = change(np.zeros(4), np.array([0.01, 0.02, 0.03, 0.02]), scale=Scale.DIFFERENCE, least_sd=0.001)
    assert found.ratio == found.difference == pytest.approx(0.02)
    assert found.low < 0.02 < found.high


@pytest.mark.parametrize("sides", [(WAS[:1], NOW), (WAS, NOW[:1]), (WAS[:1], NOW[:1])])
def test_with_a_single_run_only_the_difference_is_known(sides):
    """One run can't tell noise from a change."""
    found = change(*sides)
    assert found.ratio == pytest.approx(stats.gmean(sides[1]) / stats.gmean(sides[0]) - 1)
    assert all(math.isnan(value) for value in (found.low, found.high, found.p, found.standard_error, found.degrees))


def test_runs_are_no_more_alike_than_a_histogram_can_show():
    """Five times the same bucket doesn't prove that the next bucket is a change."""
    same = change(np.full(5, 0.2), np.full(5, 0.2))
    assert (same.ratio, same.p) == (0, pytest.approx(1))
    assert same.standard_error == pytest.approx(BUCKET_SD * math.sqrt(2 / 5))
    assert change(np.full(5, 0.2), np.full(5, 0.2 * (1 + 2**-8))).p > 0.02


def test_pairs_are_compared_by_the_paired_test():
    """Which is a special case of blocks."""
    pairs = np.arange(5)
    found = change(WAS, NOW[:5], blocks=(pairs, pairs))
    expected = stats.ttest_rel(np.log(NOW[:5]), np.log(WAS))
    assert (found.p, found.degrees) == pytest.approx((expected.pvalue, 4))


def test_blocks_remove_the_machines_influence():
    """It kept getting slower; within blocks the change is as clear as if it hadn't."""
    drift = np.exp(0.1 * np.arange(5))
    blocks = np.arange(5)
    assert change(WAS * drift, NOW[:5] * drift).p > 0.05
    blocked = change(WAS * drift, NOW[:5] * drift, blocks=(blocks, blocks))
    assert blocked.p < 0.001
    assert blocked.ratio == pytest.approx(change(WAS, NOW[:5]).ratio)


def test_blocks_of_four_keep_more_degrees_of_freedom_than_pairs():
    """ABBA: eight runs in two blocks, minus the blocks and the change."""
    fours = np.array([0, 0, 1, 1])
    assert change(WAS[:4], NOW[:4], blocks=(fours, fours)).degrees == 5


def test_blocks_with_only_one_side_dont_count():
    """Then it is Welch's test."""
    assert change(WAS, NOW, blocks=(np.zeros(5, dtype=int), np.ones(6, dtype=int))) == change(WAS, NOW)


def test_a_sides_mean_is_the_geometric_one_with_students_interval():
    """For times; for shares it is the arithmetic one, and one run has no interval."""
    found = mean_of_runs(WAS)
    low, high = stats.t.interval(0.95, 4, np.log(WAS).mean(), stats.sem(np.log(WAS)))
    assert (found.value, found.low, found.high) == pytest.approx((stats.gmean(WAS), math.exp(low), math.exp(high)))
    assert mean_of_runs(WAS, scale=Scale.DIFFERENCE).value == pytest.approx(WAS.mean())
    assert math.isnan(mean_of_runs(WAS[:1]).low)
