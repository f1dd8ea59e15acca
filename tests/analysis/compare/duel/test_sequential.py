"""What a duel knows at a look: words for what thresholds name, and for the rest only at the last look."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from loadproof.analysis.compare.comparedrow import ChangeWord
from loadproof.analysis.compare.duel.sequential import interim_result
from loadproof.analysis.compare.replicates import Row
from loadproof.analysis.estimates.estimate import ratio_estimate
from loadproof.analysis.word import Word
from simulation.releases import PHASE, Noise, plan_of_releases, release

RUNS = (4, 6, 8)


def sides(n, *, slower=0.0, between=0.01, plan=None, seed=3):
    """In blocks of two runs each."""
    random, noise = np.random.default_rng(seed), Noise(between=between)
    found = [
        release(random, n, noise=noise, step=2, first=first, slower=change, plan=plan)
        for first, change in ((0, 0.0), (1, slower))
    ]
    return tuple([replace(run, block=place // 2) for place, run in enumerate(runs)] for runs in found)


def words(found, *, named):
    return {row.word for row in found.comparison.rows if row.is_named is named}


def test_a_much_slower_release_is_found_at_the_first_look():
    """Rows that no threshold names have no word yet."""
    found = interim_result(sides(4, slower=0.5), RUNS, 0)
    assert found.reason == "balance · steady · p(95) regressed"
    assert found.comparison.word is ChangeWord.REGRESSED
    assert words(found, named=False) == {None}
    assert found.changed == 1


def test_the_threshold_says_which_way_is_better():
    """A limiter that stopped refusing has regressed."""
    row = Row("balance", PHASE, "throttled_ratio")
    pair = [
        [replace(run, estimates={**run.estimates, row: ratio_estimate(refused, 6000)}) for run in runs]
        for runs, refused in zip(sides(4, plan=plan_of_releases("throttled_ratio > 50 %")), (5820, 0), strict=True)
    ]
    assert interim_result((pair[0], pair[1]), RUNS, 0).reason == "balance · steady · throttled_ratio regressed"


@pytest.mark.slow
def test_an_uncertain_result_waits_for_the_last_look():
    """Noise hides it until then, when everything gets a word."""
    noisy = sides(8, between=0.2)
    for look, count in enumerate(RUNS):
        found = interim_result(tuple(side[:count] for side in noisy), RUNS, look)
        assert found.reason == ("that was the last look" if count == 8 else "")
        assert ChangeWord.INCONCLUSIVE in words(found, named=True)
        assert (words(found, named=False) == {None}) is (count < 8)
    assert found.comparison.word is ChangeWord.INCONCLUSIVE
    row = next(row for row in found.comparison.rows if row.is_named and row.metric.quantile == 0.95)
    assert row.detectable > 0.2
    assert row.runs_to_decide is None or row.runs_to_decide > 8
    assert row.adjusted_p == min(1.0, 3 * row.change.p)


@pytest.mark.slow
def test_equal_releases_are_called_equivalent_as_soon_as_that_is_clear():
    """In every row that a threshold names."""
    found = interim_result(sides(6, between=0.004), RUNS, 1)
    assert found.reason == "everything that a threshold names is equivalent or improved"
    assert found.comparison.word is ChangeWord.EQUIVALENT
    assert found.changed == 0


@pytest.mark.slow
def test_a_change_within_the_margin_is_no_regression_however_certain():
    """The margin is what a threshold on the baseline allows."""
    plan = plan_of_releases("p(95) <= 1.50 * baseline")
    pair = sides(8, slower=0.10, between=0.004, plan=plan)
    found = interim_result(pair, RUNS, 2)
    row = next(row for row in found.comparison.rows if row.is_named and row.metric.quantile == 0.95)
    assert (row.margin, row.word) == (pytest.approx(0.5), ChangeWord.EQUIVALENT)
    assert row.change.p < 1e-4
    assert found.comparison.judgements == ()


@pytest.mark.parametrize(
    ("expect", "slower", "reason", "judged", "word"),
    [
        (
            "p(95) <= 0.90 * baseline",
            0.0,
            "balance · all phases: p(95) <= 0.90 * baseline is violated",
            Word.FAIL,
            "regressed",
        ),
        (
            "p(95) <= 1.00 * baseline",
            0.03,
            "balance · all phases: p(95) <= 1.00 * baseline is violated",
            Word.FAIL,
            "regressed",
        ),
        ("p(95) <= 1.02 * baseline", 0.02, "that was the last look", Word.INCONCLUSIVE, "inconclusive"),
        ("p(95) <= 1.04 * baseline", -0.01, "everything that a threshold names", Word.PASS, "equivalent"),
        ("p(95) <= 0.90 * baseline", -0.2, "everything that a threshold names", Word.PASS, "improved"),
    ],
)
def test_a_threshold_that_allows_less_than_the_margin_is_decided_separately(expect, slower, reason, judged, word):
    """Being equal within 5 % isn't what it requires."""
    found = interim_result(sides(8, slower=slower, between=0.002, plan=plan_of_releases(expect)), RUNS, 2)
    assert found.reason.startswith(reason)
    assert [judgement.word for judgement in found.comparison.judgements] == [judged]
    assert found.comparison.word == word


@pytest.mark.slow
def test_a_look_only_counts_the_runs_that_it_had():
    """A later look sees the same at an earlier one as that look itself did."""
    pair = sides(8, slower=0.5)
    # From the fifth run on it is as fast as before, but the first look has already found it.
    recovered = [*pair[1][:4], *sides(8, seed=9)[1][4:]]
    recovered = [replace(run, block=place // 2) for place, run in enumerate(recovered)]
    found = interim_result((pair[0], recovered), RUNS, 2)
    assert "balance · steady · p(95) regressed" in found.reason
