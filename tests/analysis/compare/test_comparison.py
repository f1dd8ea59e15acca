"""The runs of two releases: a word for each row, and one overall."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from loadproof.analysis.compare.comparedrow import ChangeWord
from loadproof.analysis.compare.comparison import compare
from loadproof.analysis.compare.replicates import Row
from loadproof.analysis.estimates.estimate import ratio_estimate
from loadproof.analysis.word import Word
from simulation.releases import PHASE, Noise, plan_of_releases, release

pytestmark = pytest.mark.slow

CALM = Noise(between=0.01)
P95 = Row("balance", PHASE, "p(95)")


def two_releases(n=5, candidate_n=None, *, noise=CALM, plan=None, seed=1, **slower):
    """Run alternately; the candidate's endpoints are slower by this much."""
    random = np.random.default_rng(seed)
    baseline = release(random, n, noise=noise, step=2, plan=plan)
    return baseline, release(random, candidate_n or n, noise=noise, slower=slower or 0.0, first=1, step=2, plan=plan)


def with_values(runs, row, values):
    """The same runs with other values for a row."""
    return [
        replace(run, estimates={**run.estimates, row: replace(run.estimates[row], value=value)})
        for run, value in zip(runs, values, strict=True)
    ]


def row_in(comparison, row=P95):
    return next(each for each in comparison.rows if each.row == row)


def words_of(comparison, word):
    return {each.row for each in comparison.rows if each.word is word}


def test_equal_releases_are_equivalent():
    """If noise is small, in everything that thresholds name."""
    found = compare(*two_releases(8))
    assert found.word is ChangeWord.EQUIVALENT
    assert not words_of(found, ChangeWord.REGRESSED)
    row = row_in(found)
    assert row.is_named
    assert (row.baseline.n, row.candidate.n) == (8, 8)
    assert row.change.low < 0 < row.change.high


def test_a_slower_endpoint_has_regressed_and_no_other():
    """With the size of the change; all endpoints together are slower, too."""
    found = compare(*two_releases(6, balance=0.3))
    assert found.word is ChangeWord.REGRESSED
    assert {row.endpoint for row in words_of(found, ChangeWord.REGRESSED)} == {"balance", "all endpoints"}
    assert row_in(found).change.ratio == pytest.approx(0.3, abs=0.06)
    assert row_in(found).adjusted_p > row_in(found).change.p


def test_a_faster_release_has_improved():
    """And nothing got worse."""
    found = compare(*two_releases(6, **dict.fromkeys(("balance", "transactions", "health", "webhooks"), -0.3)))
    assert found.word is ChangeWord.IMPROVED
    assert row_in(found).word is ChangeWord.IMPROVED


def test_fewer_good_answers_are_worse_although_the_number_falls():
    """And more errors are worse even if the baseline has none."""
    baseline, candidate = two_releases()
    for row, sides in (
        (Row("health", PHASE, "goodput_ratio"), ([1.0] * 5, [0.93, 0.94, 0.95, 0.94, 0.93])),
        (Row("health", PHASE, "error_ratio"), ([0.0] * 5, [0.06, 0.05, 0.06, 0.05, 0.05])),
        (Row("health", PHASE, "throughput"), ([40.0] * 5, [30.0, 31.0, 30.0, 30.5, 30.0])),
    ):
        found = compare(
            *(with_values(runs, row, values) for runs, values in zip((baseline, candidate), sides, strict=True))
        )
        assert row_in(found, row).word is ChangeWord.REGRESSED


@pytest.mark.parametrize(("was", "now", "word"), [(0.97, 0.0, "regressed"), (0.90, 0.97, "improved")])
def test_the_threshold_says_which_way_is_better(was, now, word):
    """A limiter that refuses less than it did is worse, although fewer refusals are usually better."""
    sides = two_releases(plan=plan_of_releases("throttled_ratio > 50 %"))
    row, steps = Row("balance", PHASE, "throttled_ratio"), (0.0, 0.001, 0.0, -0.001, 0.0)
    refusing = [
        [
            replace(run, estimates={**run.estimates, row: ratio_estimate(round(6000 * abs(level + step)), 6000)})
            for run, step in zip(runs, steps, strict=True)
        ]
        for runs, level in zip(sides, (was, now), strict=True)
    ]
    found = compare(*refusing)
    assert row_in(found, row).word == word
    assert found.word == "regressed" or word == "improved"


def test_a_difference_within_the_margin_is_equivalent_however_certain():
    """The margin is the scenario's, or the caller's."""
    baseline, candidate = two_releases(6)
    values = [0.0400, 0.0401, 0.0399, 0.0400, 0.0402, 0.0398]
    sides = with_values(baseline, P95, values), with_values(candidate, P95, [1.02 * value for value in values])
    assert row_in(compare(*sides)).change.p < 1e-3
    assert row_in(compare(*sides)).word is ChangeWord.EQUIVALENT
    assert row_in(compare(*sides, margin=0.01)).word is ChangeWord.REGRESSED
    plan = plan_of_releases(margin="1 %")
    strict = [
        [replace(run, manifest=run.manifest.model_copy(update={"scenario": plan})) for run in runs] for runs in sides
    ]
    assert compare(*strict).margin == 0.01
    assert row_in(compare(*strict)).word is ChangeWord.REGRESSED


def test_a_change_hidden_by_noise_is_inconclusive_with_what_would_show_it():
    """The smallest change that would have been found, and how many runs would decide."""
    found = row_in(compare(*two_releases(4, noise=Noise(between=0.1))))
    assert found.word is ChangeWord.INCONCLUSIVE
    assert found.detectable > 0.2
    assert found.runs_to_decide > 4
    assert compare(*two_releases(4, noise=Noise(between=0.1))).word is ChangeWord.INCONCLUSIVE


def test_a_single_run_on_a_side_shows_the_difference_and_gets_no_word():
    """Nor do two."""
    for sizes in ((1, 1), (5, 1), (2, 2)):
        found = compare(*two_releases(*sizes, balance=0.5))
        row = row_in(found)
        assert row.word is None
        assert row.change.ratio > 0.3
        assert math.isnan(row.change.low) == (1 in sizes)
        assert found.word is ChangeWord.INCONCLUSIVE
        (finding,) = (each for each in found.findings if each.word is Word.INCONCLUSIVE)
        assert finding.what.startswith(f"{sizes[0]} and {sizes[1]} runs can't tell")


def test_only_the_family_gets_words():
    """Other rows are shown, and make nothing else less certain."""
    sides = two_releases(balance=0.3)
    found = compare(*sides, family=[P95])
    assert [each.row for each in found.rows if each.word] == [P95]
    assert found.tested == 1
    assert row_in(found).adjusted_p == row_in(found).change.p


def test_rows_that_never_vary_are_not_tested():
    """No run had an error: there is nothing to find, and the other words don't get less certain."""
    baseline, candidate = two_releases()
    row = Row("health", PHASE, "error_ratio")
    flat = [
        [replace(run, estimates={**run.estimates, row: ratio_estimate(0, 1200)}) for run in runs]
        for runs in (baseline, candidate)
    ]
    found = compare(*flat)
    assert found.tested < len(found.rows)
    assert row_in(found, row).word is ChangeWord.EQUIVALENT


def test_quantiles_of_too_few_answers_are_left_out():
    """Unless a threshold names them: p99 of 600 answers is one of the slowest six."""
    found = compare(*two_releases())
    assert Row("webhooks", PHASE, "p(99)") not in {each.row for each in found.rows}
    assert Row("all endpoints", PHASE, "p(99)") in {each.row for each in found.rows}


def test_interleaved_runs_are_compared_within_blocks():
    """By the order of their starts; one side after the other is reported, and compared as a whole."""
    found = compare(*two_releases(6))
    assert found.is_interleaved
    assert row_in(found).change.degrees == 12 - 3 - 1
    random = np.random.default_rng(1)
    found = compare(release(random, 5), release(random, 5, first=5))
    assert not found.is_interleaved
    assert "one side was measured after the other" in {finding.what for finding in found.findings}


def test_thresholds_on_the_baseline_are_decided_by_all_runs():
    """And what they allow is their row's margin."""
    expect = "p(95) <= 1.10 * baseline"
    plan = plan_of_releases(expect)
    for slower, word in ((0.0, Word.PASS), (0.3, Word.FAIL), (0.1, Word.INCONCLUSIVE)):
        found = compare(*two_releases(6, plan=plan, balance=slower))
        (judgement,) = found.judgements
        assert (judgement.word, judgement.threshold.expect) == (word, expect), judgement.reason
        assert "(6 and 6 runs)" in judgement.reason
        assert row_in(found).margin == pytest.approx(0.1)
    (judgement,) = compare(*two_releases(2, plan=plan)).judgements
    assert "2 and 2 runs can't tell a change from noise" in judgement.reason


def test_shares_of_requests_may_have_thresholds_on_the_baseline():
    """As differences; their margin stays."""
    plan = plan_of_releases("error_ratio <= 2 * baseline")
    row = Row("balance", PHASE, "error_ratio")
    baseline, candidate = two_releases(plan=plan)
    sides = with_values(baseline, row, [0.01, 0.011, 0.01, 0.01, 0.009]), with_values(candidate, row, [0.05] * 5)
    found = compare(*sides)
    assert found.judgements[0].word is Word.FAIL
    assert "percentage points" in found.judgements[0].reason
    assert row_in(found, row).margin == 0.05


def test_a_release_whose_target_dies_has_regressed():
    """Even if nothing else in those runs can be compared."""
    baseline, candidate = two_releases(6)
    dead = candidate[0].manifest.model_copy(update={"ending": "target_died"})
    found = compare(baseline, [replace(candidate[0], manifest=dead, estimates={}), *candidate[1:]])
    assert found.word is ChangeWord.REGRESSED
    assert row_in(found).candidate.n == 5
    found = compare([replace(baseline[0], manifest=dead, estimates={}), *baseline[1:]], candidate)
    assert found.word is not ChangeWord.REGRESSED


def test_a_target_that_dies_as_often_on_either_side_is_no_regression():
    """Even if fewer candidate runs are left; if too few are left, the reason is given."""

    def broken(run):
        ended = run.manifest.model_copy(update={"ending": "target_died"})
        return replace(run, manifest=ended, estimates={}, histograms={})

    baseline, candidate = two_releases(6)
    was, now = ([broken(side[0]), *side[1:]] for side in (baseline, candidate))
    assert compare(was, now[:5]).word is not ChangeWord.REGRESSED
    (finding,) = (each for each in compare([*map(broken, was)], [*map(broken, now)]).findings if not each.is_note)
    assert finding.what.startswith("the target ended 6 and 6 runs of the sides early, and the other 0 and 0 runs can't")
    assert "why it ended them" in finding.remedy


def test_a_slow_run_among_fast_ones_is_named():
    """It stays, and makes the comparison less certain."""
    baseline, candidate = two_releases(10)
    values = [run.values[P95] for run in baseline]
    odd = with_values(baseline, P95, [1.6 * values[0], *values[1:]])
    (finding,) = (each for each in compare(odd, candidate).findings if "is far from" in each.what)
    assert odd[0].path.name in finding.what
    assert "p(95) of balance" in finding.what
    assert not [each for each in compare(baseline, candidate).findings if "is far from" in each.what]


def test_how_much_of_the_noise_is_between_runs():
    """Longer runs don't help against that part."""
    noisy, calm = (
        row_in(compare(*two_releases(12, noise=Noise(between=between, phi=0.0)))).between_runs_share
        for between in (0.2, 0.0)
    )
    assert calm < 0.7
    assert 0.9 < noisy < 1


def test_ordinary_differences_between_runs_are_not_outliers():
    """One in ten comparisons of equal releases may have such a note; a run twice as slow always has one."""
    random = np.random.default_rng(1)
    seen = []
    for _ in range(10):
        baseline, candidate = release(random, 4, step=2), release(random, 5, first=1, step=2)
        for slower in (0.0, 1.0):
            last = release(random, 1, first=8, slower=slower)
            notes = [each for each in compare([*baseline, *last], candidate).findings if "is far from" in each.what]
            seen.append((slower, bool(notes)))
    assert seen.count((0.0, True)) <= 1
    assert seen.count((1.0, True)) == 10
