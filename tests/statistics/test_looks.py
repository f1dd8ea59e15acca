"""Many looks at several rows raise no more false alarms than a single test, and find real changes."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from loadproof.analysis.compare.duel.sequential import FAMILY_ALPHA
from loadproof.analysis.compare.statistics.looks import changed, nominal_levels
from loadproof.analysis.compare.statistics.welch import change
from simulation.duels import Truth, changes_in, duels
from tests.profiles import fewest_by_chance, most_by_chance, simulations

pytestmark = pytest.mark.statistics
RUNS = (4, 6, 8, 12)


@cache
def p_values(truth: Truth, times: int) -> np.ndarray:
    """P-values of simulated duels; shape (times, looks, rows)."""
    values = duels(np.random.default_rng(18), truth, times=times, pairs=RUNS[-1])
    looks = [[[row.p for row in duel] for duel in changes_in(values[..., :count])] for count in RUNS]
    return np.array(looks).transpose(1, 0, 2)


def found(truth: Truth, times: int, alpha: float = FAMILY_ALPHA) -> np.ndarray:
    """The number of rows found changed by the last look, per duel; shape (times,)."""
    looks = p_values(truth, times)
    return np.array([len(changed([dict(enumerate(rows)) for rows in duel], RUNS, alpha)) for duel in looks])


def test_changes_computed_for_many_duels_at_once_equal_those_of_single_duels():
    """The simulation computes the same as the product."""
    values = duels(np.random.default_rng(1), Truth(rows=2, slower=0.1), times=3, pairs=6)
    blocks = (np.repeat(np.arange(3), 2),) * 2
    for duel, rows in zip(values, changes_in(values), strict=True):
        for (was, now), quick in zip(duel, rows, strict=True):
            whole = change(np.exp(was), np.exp(now), blocks=blocks, least_sd=0.0)
            assert quick.ratio == pytest.approx(whole.ratio)
            assert (quick.low, quick.high) == pytest.approx((whole.low, whole.high))
            assert (quick.p, quick.standard_error, quick.degrees) == pytest.approx(
                (whole.p, whole.standard_error, whole.degrees)
            )


def test_four_looks_at_one_row_hold_five_percent_where_naive_looks_have_twice_as_much():
    """As if there had been only one look."""
    times, truth = simulations(8_000), Truth(rows=1)
    alarms = int((found(truth, times, 0.05) > 0).sum())
    assert fewest_by_chance(times, 0.035) <= alarms <= most_by_chance(times, 0.05)
    naive = int((p_values(truth, times) < 0.05).any(axis=(1, 2)).sum())
    assert naive >= fewest_by_chance(times, 0.10)


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.95])
def test_a_family_of_rows_holds_its_error_rate_however_correlated_its_rows_are(correlation):
    """In any row, at any look, for better or worse; half of these are regressions."""
    times = simulations(8_000)
    alarms = int((found(Truth(correlation=correlation), times) > 0).sum())
    assert alarms <= most_by_chance(times, FAMILY_ALPHA)


@pytest.mark.parametrize(("slower", "power"), [(0.05, 0.80), (0.10, 0.99)])
def test_a_slower_release_is_found(slower, power):
    """In at least one of six rows, with 3 % noise between runs."""
    times = simulations(2_000)
    seen = int((found(Truth(slower=slower), times) > 0).sum())
    assert seen >= fewest_by_chance(times, power)


def test_a_single_slower_row_is_found_among_unchanged_ones():
    """With the share of the error rate that six rows leave for it."""
    levels = nominal_levels(RUNS, FAMILY_ALPHA / 6)
    times = simulations(2_000)
    slow = p_values(Truth(rows=1, slower=0.10), times)[:, :, 0]
    assert int((slow <= levels).any(axis=1).sum()) >= fewest_by_chance(times, 0.99)
