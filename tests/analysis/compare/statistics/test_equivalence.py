"""Certainly too small to matter: two one-sided tests."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from loadproof.analysis.compare.statistics.equivalence import equivalence_p, is_equivalent, margin_on
from loadproof.analysis.compare.statistics.welch import Scale, change

WAS = np.array([0.200, 0.203, 0.198, 0.201, 0.199])


def test_it_is_the_worse_of_two_one_sided_tests():
    """As computed by SciPy, on logarithms."""
    now = 1.01 * WAS[::-1]
    found = equivalence_p(change(WAS, now), 0.05)
    log_was, log_now, margin = np.log(WAS), np.log(now), math.log(1.05)
    expected = max(
        stats.ttest_ind(log_now - margin, log_was, equal_var=False, alternative="less").pvalue,
        stats.ttest_ind(log_now + margin, log_was, equal_var=False, alternative="greater").pvalue,
    )
    assert found == pytest.approx(expected)


@pytest.mark.parametrize(("times", "expected"), [(1.0, True), (1.045, False), (1.06, False), (1 / 1.045, False)])
def test_only_changes_certainly_within_the_margin_are_equivalent(times, expected):
    """In either direction."""
    assert is_equivalent(change(WAS, times * WAS), 0.05) is expected


def test_for_shares_of_requests_the_margin_is_a_tenth_as_a_difference():
    """5 % becomes half a percentage point."""
    assert margin_on(Scale.DIFFERENCE, 0.05) == pytest.approx(0.005)
    same = np.array([0.010, 0.011, 0.009, 0.010])
    for difference, expected in ((0.003, True), (0.0049, False), (0.02, False)):
        found = change(same, same + difference, scale=Scale.DIFFERENCE, least_sd=1e-4)
        assert is_equivalent(found, 0.05) is expected


def test_a_single_run_shows_no_equivalence():
    """Not even if the values are the same."""
    assert not is_equivalent(change(WAS, WAS[:1]), 0.05)
