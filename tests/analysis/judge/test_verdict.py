"""The sentences of a verdict: what decided, with its numbers, and what to do next."""

from __future__ import annotations

import numpy as np
import pytest

from loadproof.analysis.estimates.changes import Move
from loadproof.analysis.estimates.estimate import Estimate
from loadproof.analysis.judge.finding import Finding
from loadproof.analysis.judge.judgement import (
    Judgement,
)
from loadproof.analysis.judge.verdict import (
    Verdict,
    _beside,
    _next_after_pass,
    deciding_reason,
    unwritten,
    verdict_on_run,
)
from loadproof.analysis.word import Word
from loadproof.scenario.scenario import Threshold
from simulation.countedseconds import BOTH, steady_run
from simulation.rundirs import open_scenario
from simulation.traffic import run_of_seconds

GOODPUT = "goodput_ratio >= 50 %"


@pytest.mark.parametrize(("others", "more"), [(0, ""), (1, " (and 1 more threshold)"), (2, " (and 2 more thresholds)")])
def test_the_first_deciding_threshold_is_named_and_how_many_more_there_are(others, more):
    """With its scope, the value, and what was expected."""
    threshold = Threshold.model_validate({"expect": "p(95) < 20 ms"})
    judgement = Judgement(threshold, Word.FAIL, Estimate(0.1, 0.1, 0.1, 1), "100 ms, beyond the limit")
    text = "all endpoints · all phases: p(95) is 100 ms, beyond the limit (expected p(95) < 20 ms)"
    assert deciding_reason([judgement] * (others + 1)) == text + more


def test_a_reason_without_a_value_doesnt_name_the_metric():
    """It used to read 'error_ratio is no samples'."""
    threshold = Threshold.model_validate({"expect": "error_ratio < 1 %"})
    judgement = Judgement(threshold, Word.INCONCLUSIVE, None, "no samples: nothing to judge")
    text = "all endpoints · all phases: no samples: nothing to judge (expected error_ratio < 1 %)"
    assert deciding_reason([judgement]) == text


def test_a_pass_of_a_single_threshold_says_so():
    """Rather than 'all 1 thresholds'."""
    assert verdict_on_run(steady_run(GOODPUT, ok=50)).reason == "The threshold was met, and the generator kept up."


def test_a_pass_counts_its_thresholds_and_is_the_next_baseline():
    """There is nothing to do."""
    verdict = verdict_on_run(steady_run(GOODPUT, "error_ratio < 10 %", ok=50))
    assert (verdict.word, verdict.reason) == (Word.PASS, "Both thresholds were met, and the generator kept up.")
    assert verdict.next_step == "Nothing to do. Keep this run as the baseline of the next release."
    assert verdict.beside is None


def moved(worse: float, what: str) -> Move:
    return Move(what, worse, is_clear=True)


WORSE, BETTER = moved(0.5, "p95 rose by 50 %"), moved(-0.2, "p95 fell by 20 %")
SAME = moved(0.0, "nothing")
NOISE = "; one run on each side can't tell a change from noise."


@pytest.mark.parametrize(
    ("moves", "text"),
    [
        ([], "no time changed by 5% or more, nor the goodput ratio."),
        ([WORSE], f"p95 rose by 50 %{NOISE}"),
        ([WORSE, BETTER], f"p95 rose by 50 %, and 1 more changed by 5% or more{NOISE}"),
        ([moved(-0.1, "p50 fell by 10 %"), BETTER], f"p95 fell by 20 %, and 1 more changed by 5% or more{NOISE}"),
        ([SAME, BETTER], f"p95 fell by 20 %, and 1 more changed by 5% or more{NOISE}"),
    ],
)
def test_with_a_baseline_the_worst_change_is_reported(moves, text):
    """Or the best, if none is worse; and how many more there are."""
    assert _beside(moves, steady_run(ok=50)) == f"Compared with 20261123T060000Z-synthetic: {text}"


@pytest.mark.parametrize(("moves", "is_weighed"), [([], False), ([BETTER], False), ([SAME], False), ([WORSE], True)])
def test_a_pass_that_got_worse_should_be_checked_before_it_is_a_baseline(moves, is_weighed):
    """Compared with a better run."""
    told_next = _next_after_pass(moves)
    if is_weighed:
        assert told_next == (
            "Check what got worse before you keep this run as a baseline: p95 rose by 50 %. "
            "Several runs of each release will show whether it is more than noise."
        )
    else:
        assert told_next == "Nothing to do. Keep this run as the baseline of the next release."


@pytest.mark.parametrize("word", [Word.PASS, Word.FAIL, Word.INCONCLUSIVE])
def test_a_verdict_that_cannot_be_written_is_invalid(word):
    """Because nobody could look at the evidence; the findings stay."""
    note = Finding(Word.PASS, "a note", "nothing")
    verdict = unwritten(Verdict(word, "Before.", "Do.", (), (note,)), "the disk is full", "free some space")
    assert (verdict.word, verdict.reason, verdict.next_step) == (
        Word.INVALID,
        "The disk is full.",
        "Free some space.",
    )
    assert verdict.findings == (note, Finding(Word.INVALID, "the disk is full", "free some space"))


def test_an_invalid_verdict_keeps_its_reason_when_it_cannot_be_written():
    """The first reason is the better one; the second is a finding."""
    verdict = unwritten(Verdict(Word.INVALID, "Before.", "Do.", (), ()), "the disk is full", "free some space")
    assert (verdict.word, verdict.reason, verdict.next_step) == (Word.INVALID, "Before.", "Do.")
    assert [finding.what for finding in verdict.findings] == ["the disk is full"]


def test_thresholds_that_hold_are_not_among_the_deciding_ones():
    """They are in neither the reason nor the next step, and aren't counted."""
    thresholds = [{"endpoint": "health", "expect": GOODPUT}, {"endpoint": "balance", "expect": "error_ratio < 1 %"}]
    phases = [{"name": "steady", "duration": "30 s", "rate": "100 rps"}]
    plan = open_scenario(phases=phases, mix=BOTH, thresholds=[*thresholds, {"expect": GOODPUT}])
    halves = {("health", "ok"): 50, ("balance", "ok"): 25, ("balance", "server_error"): 25}
    verdict = verdict_on_run(run_of_seconds(plan, {key: np.full(30, count) for key, count in halves.items()}))
    assert verdict.word is Word.FAIL
    assert verdict.reason.startswith("Balance · all phases: error_ratio is ")
    assert verdict.reason.endswith("(expected error_ratio < 1 %).")
    assert verdict.next_step.startswith("Look at balance in steady, where 750 of 1,500 requests ended in server_error.")
