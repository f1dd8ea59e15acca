"""How small p has to be at each look, and how several rows share the error rate."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from loadproof.analysis.compare.statistics.looks import changed, equivalence_level, nominal_levels, spent

RUNS = (4, 6, 8, 12)


@pytest.mark.slow
def test_a_duel_of_equals_crosses_no_bound_as_often_as_planned():
    """The probability that a Brownian motion, seen at these times, crosses no bound."""
    levels = nominal_levels(RUNS, 0.05)
    bounds = stats.norm.isf(np.array(levels) / 2)
    for looks in range(1, 5):
        shares = np.array(RUNS[:looks]) / RUNS[-1]
        correlation = np.sqrt(np.minimum.outer(shares, shares) / np.maximum.outer(shares, shares))
        inside = stats.multivariate_normal.cdf(
            bounds[:looks], cov=correlation, lower_limit=-bounds[:looks], abseps=1e-7, releps=1e-7, rng=1
        )
        assert 1 - inside == pytest.approx(spent(shares[-1], 0.05), abs=2e-5)
    assert levels == pytest.approx((0.000687, 0.005315, 0.014329, 0.043559), rel=1e-3)


def test_one_look_spends_everything():
    """It is an ordinary test."""
    assert nominal_levels((8,), 0.05) == pytest.approx((0.05,))
    assert spent(1.0, 0.05) == pytest.approx(0.05)


@pytest.mark.parametrize("alpha", [0.05, 0.02, 0.001, 1e-6])
def test_a_look_allows_no_more_than_was_spent_by_then(alpha):
    """And the first one exactly that."""
    levels = nominal_levels(RUNS, alpha)
    assert levels[0] == pytest.approx(spent(4 / 12, alpha), rel=1e-4)
    assert list(levels) == sorted(levels)
    assert all(level <= spent(runs / 12, alpha) for level, runs in zip(levels[1:], RUNS[1:], strict=True))
    assert levels[-1] < alpha


def test_rows_share_the_error_rate_and_a_found_one_passes_on_its_share():
    """By Holm's procedure: the second needs a half, not a third."""
    last = nominal_levels((8,), 0.02)[0]
    assert changed([{"a": last / 3, "b": last / 2.01, "c": last}], (8,), 0.02) == {"a", "b", "c"}
    assert changed([{"a": last / 3, "b": last / 1.99, "c": 1.0}], (8,), 0.02) == {"a"}
    assert changed([{"a": last / 2.99, "b": last / 2.01, "c": last}], (8,), 0.02) == set()


def test_a_change_found_at_an_early_look_stays_found():
    """Later p-values don't undo it; before that look nothing is found."""
    first = nominal_levels(RUNS, 0.02 / 2)[0]
    assert changed([{"a": first, "b": 0.5}, {"a": 0.9, "b": 0.5}], RUNS, 0.02) == {"a"}
    assert changed([{"a": first * 1.01, "b": 0.5}, {"a": 0.9, "b": 0.5}], RUNS, 0.02) == set()


def test_equivalence_has_the_same_shape_on_one_side():
    """Half of twice the rate: 5 % in the end."""
    levels = [equivalence_level(RUNS, look) for look in range(4)]
    assert levels == sorted(levels)
    assert levels[0] < 0.003
    assert 0.04 < levels[-1] < 0.05
