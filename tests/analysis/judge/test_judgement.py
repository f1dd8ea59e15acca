"""An interval becomes a word and a sentence, at the limit and on both sides of it."""

from __future__ import annotations

import math

import pytest

from loadproof.analysis.estimates.estimate import Estimate
from loadproof.analysis.judge.judgement import (
    Compliance,
    Judgement,
    Wanting,
    deciding_text,
    judge_beside,
    judge_estimate,
    seen_text,
    side_of,
    word_of,
)
from loadproof.analysis.word import Word
from loadproof.scenario.scenario import Threshold
from loadproof.scenario.thresholds.expectation import parse_expectation

BELOW = Threshold.model_validate({"expect": "p(95) < 200 ms"})


@pytest.mark.parametrize(
    ("in_this_run", "next_time", "word"),
    [
        (Compliance.KEPT, Compliance.KEPT, Word.PASS),
        (Compliance.KEPT, None, Word.PASS),
        (Compliance.KEPT, Compliance.UNSURE, Word.INCONCLUSIVE),
        (Compliance.UNSURE, Compliance.KEPT, Word.INCONCLUSIVE),
        (Compliance.MISSED, Compliance.KEPT, Word.INCONCLUSIVE),
        (Compliance.MISSED, None, Word.INCONCLUSIVE),
        (Compliance.BROKEN, Compliance.KEPT, Word.FAIL),
        (Compliance.BROKEN, None, Word.FAIL),
        (Compliance.KEPT, Compliance.BROKEN, Word.FAIL),
    ],
)
def test_pass_needs_both_answers_and_fail_one(in_this_run, next_time, word):
    """If one was just missed, or is unsure, it is neither."""
    assert word_of(in_this_run, next_time) is word


@pytest.mark.parametrize(
    ("word", "in_this_run", "next_time", "decided_by"),
    [
        (Word.FAIL, Compliance.BROKEN, Compliance.UNSURE, "in this run"),
        (Word.FAIL, Compliance.BROKEN, None, "in this run"),
        (Word.FAIL, Compliance.UNSURE, Compliance.BROKEN, "next time"),
        (Word.FAIL, None, None, None),
        (Word.INCONCLUSIVE, Compliance.KEPT, Compliance.UNSURE, "next time"),
        (Word.INCONCLUSIVE, Compliance.MISSED, Compliance.UNSURE, "in this run"),
        (Word.INCONCLUSIVE, None, None, None),
        (Word.PASS, Compliance.KEPT, Compliance.KEPT, None),
    ],
)
def test_the_question_that_decided_is_named(word, in_this_run, next_time, decided_by):
    """Only if one of the two did."""
    judgement = Judgement(BELOW, word, None, "", in_this_run, next_time)
    assert judgement.decided_by == decided_by


@pytest.mark.parametrize(
    ("low", "high", "side"),
    [
        (0.1, 0.199, Compliance.KEPT),
        (0.1, 0.2, Compliance.UNSURE),
        (0.2, 0.3, Compliance.MISSED),
        (0.199, 0.3, Compliance.UNSURE),
    ],
)
def test_an_interval_is_on_one_side_if_both_ends_are(low, high, side):
    """An end at the limit is beyond it if the limit itself is."""
    assert side_of(Estimate(low, low, high, 1), BELOW.expectation, beyond=Compliance.MISSED) is side


@pytest.mark.parametrize(
    ("interval", "n", "word", "reason"),
    [
        ((0.1, 0.09, 0.11), 200, Word.PASS, "100 ms (90 ms to 110 ms)"),
        ((0.1, 0.09, 0.11), 199, Word.INCONCLUSIVE, "100 ms (90 ms to 110 ms): 199 samples, needs 200"),
        ((0.2, 0.19, 0.21), 200, Word.INCONCLUSIVE, "200 ms (190 ms to 210 ms), straddles the limit"),
        ((0.3, 0.29, 0.31), 5, Word.FAIL, "300 ms (290 ms to 310 ms), beyond the limit"),
        ((0.2, 0.2, 0.2), 200, Word.FAIL, "200 ms, beyond the limit"),
    ],
)
def test_an_estimate_becomes_a_word_with_its_numbers(interval, n, word, reason):
    """Too few samples don't prevent a FAIL."""
    found = judge_estimate(BELOW, Estimate(*interval, n), needed=200)
    assert (found.word, found.reason, found.estimate.n) == (word, reason, n)
    warned = judge_estimate(BELOW, Estimate(*interval, n, warnings=("added up", "no sampling error known")), needed=200)
    assert (warned.word, warned.reason) == (word, f"{reason}; added up; no sampling error known")


@pytest.mark.parametrize(
    ("before", "is_given", "wanting", "reason"),
    [
        (None, False, Wanting.RUNS, "100 ms, and no baseline was given; add --baseline RUN"),
        (None, True, Wanting.SAMPLES, "100 ms, and the baseline has no samples for it"),
        (
            Estimate(0.08, 0.07, 0.09, 100),
            True,
            Wanting.RUNS,
            "100 ms, 1.25 x the baseline's 80 ms (70 ms to 90 ms): one run on each side can't tell a change from noise",
        ),
        (
            Estimate(0.0, 0.0, 0.0, 100),
            True,
            Wanting.RUNS,
            "100 ms, the baseline's 0 s (0 s to 0 s): one run on each side can't tell a change from noise",
        ),
    ],
)
def test_a_single_baseline_run_shows_the_difference_and_decides_nothing(before, is_given, wanting, reason):
    """However large it is."""
    candidate = Estimate(0.1, 0.09, 0.11, 200)
    found = judge_beside(BELOW, candidate, before, is_given=is_given)
    assert (found.word, found.wanting) == (Word.INCONCLUSIVE, wanting)
    assert (found.reason, found.estimate) == (reason, candidate)


@pytest.mark.parametrize(
    ("needed", "n", "text"),
    [
        (100, 1, "; about 100 samples would decide"),
        (1234.5, 100, "; about 1,235 samples would decide"),
        (3.2, 5, "; about 6 samples would decide"),
        (100.1, 1, ", too close for a longer run to decide"),
        (math.inf, 1, ", too close for a longer run to decide"),
        (math.nan, 1, ", too close for a longer run to decide"),
    ],
)
def test_the_samples_needed_are_shown_up_to_a_hundred_times_as_many(needed, n, text):
    """And never fewer than there were, because those did not decide."""
    assert deciding_text(needed, n, "about {} samples") == text


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        (Estimate(math.inf, 0.2, math.inf, 5), "not within 200 ms"),
        (Estimate(0.1, 0.09, math.inf, 5), "100 ms (from 90 ms)"),
        (Estimate(0.1, 0.09, 0.2, 5, below=0.2), "100 ms (below 200 ms)"),
        (Estimate(0.1, 0.09, 0.11, 5), "100 ms (90 ms to 110 ms)"),
        (Estimate(0.1, 0.1, 0.1, 5), "100 ms"),
    ],
)
def test_a_value_is_shown_with_its_interval(estimate, text):
    """Open if the samples give no upper bound."""
    assert seen_text(estimate, parse_expectation("p(95) < 200 ms")) == text
