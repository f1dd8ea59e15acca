"""The sentences of a verdict: what decided, with its numbers, and what to do next."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from loadproof.analysis.estimates.changes import Move
from loadproof.analysis.estimates.estimate import Estimate
from loadproof.analysis.estimates.scope import Scope
from loadproof.analysis.estimates.summary import summary
from loadproof.analysis.frames.run import load_run
from loadproof.analysis.judge.finding import Finding
from loadproof.analysis.judge.judgement import (
    TOO_CLOSE,
    Compliance,
    Judgement,
    Wanting,
)
from loadproof.analysis.judge.thresholds import judge_threshold
from loadproof.analysis.judge.verdict import (
    Verdict,
    _beside,
    _next_after_pass,
    _next_step,
    badness,
    deciding_reason,
    outage_step,
    unwritten,
    verdict_on_run,
)
from loadproof.analysis.word import Word
from loadproof.rundir import files
from loadproof.scenario.scenario import Threshold
from simulation.countedseconds import BOTH, counted_plan, failing
from simulation.rundirs import open_scenario, write_run
from simulation.traffic import run_of, run_of_seconds

GOODPUT = "goodput_ratio >= 50 %"


def run_with(*expects: str, **per_second: int):
    """Half a minute of identical seconds: this many of each outcome for `balance`, and 50 ok ones for `health`."""
    plan = counted_plan(*expects or [GOODPUT], seconds=30)
    counted = {("balance", outcome): np.full(30, count) for outcome, count in per_second.items()}
    return run_of_seconds(plan, {("health", "ok"): np.full(30, 50), **counted})


def judged(expect: str, word: Word, reason: str, in_this_run: Compliance | None = None) -> tuple[Threshold, Judgement]:
    threshold = Threshold.model_validate({"expect": expect})
    return threshold, Judgement(threshold, word, Estimate(0.1, 0.1, 0.1, 1), reason, in_this_run)


@pytest.mark.parametrize(("others", "more"), [(0, ""), (1, " (and 1 more threshold)"), (2, " (and 2 more thresholds)")])
def test_the_first_deciding_threshold_is_named_and_how_many_more_there_are(others, more):
    """With its scope, the value, and what was expected."""
    _, judgement = judged("p(95) < 20 ms", Word.FAIL, "100 ms, beyond the limit")
    text = "all endpoints · all phases: p(95) is 100 ms, beyond the limit (expected p(95) < 20 ms)"
    assert deciding_reason([judgement] * (others + 1)) == text + more


def test_a_reason_without_a_value_doesnt_name_the_metric():
    """It used to read 'error_ratio is no samples'."""
    _, judgement = judged("error_ratio < 1 %", Word.INCONCLUSIVE, "no samples: nothing to judge")
    text = "all endpoints · all phases: no samples: nothing to judge (expected error_ratio < 1 %)"
    assert deciding_reason([replace(judgement, estimate=None)]) == text


def test_a_pass_of_a_single_threshold_says_so():
    """Rather than 'all 1 thresholds'."""
    assert verdict_on_run(run_with(GOODPUT, ok=50)).reason == "The threshold was met, and the generator kept up."


def test_a_pass_counts_its_thresholds_and_is_the_next_baseline():
    """There is nothing to do."""
    verdict = verdict_on_run(run_with(GOODPUT, "error_ratio < 10 %", ok=50))
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
    assert _beside(moves, run_with(ok=50)) == f"Compared with 20261123T060000Z-synthetic: {text}"


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


SEVERAL = "Make several runs of each release: `loadproof gate "
LOOK = "Look at balance in steady, where p95 is 100 ms. "


@pytest.mark.parametrize(
    ("wanting", "step"),
    [
        (Wanting.RUNS, f"{SEVERAL}SCENARIO --runs 5 --baseline DIR` makes five of"),
        (Wanting.SAMPLES, "Check the reports for why one side measured nothing"),
        (Wanting.ALL_RUNS, "Wait for the gate's other runs"),
        (None, "Make more runs of each release, alternately"),
    ],
)
def test_the_next_step_for_a_threshold_on_the_baseline_is_what_it_lacks(wanting, step):
    """Never a longer run."""
    threshold, judgement = judged("p(95) <= 1.1 * baseline", Word.INCONCLUSIVE, "x")
    assert _next_step([(threshold, replace(judgement, wanting=wanting))], run_with(ok=50)).startswith(step)


@pytest.mark.parametrize(
    ("expect", "word", "reason", "answer", "step"),
    [
        ("p(95) < 1 s", Word.INCONCLUSIVE, f"so, {TOO_CLOSE}", None, "The target is right at its limit: change"),
        ("recovery <= 1 s", Word.INCONCLUSIVE, "x", None, "Recovery took as long as the limit, to the second"),
        ("p(95) < 1 s", Word.INCONCLUSIVE, "x", Compliance.KEPT, "Run longer or with more requests; so far"),
        ("p(95) < 1 s", Word.INCONCLUSIVE, "x", Compliance.MISSED, f"{LOOK}A longer run will show whether"),
        ("p(95) < 1 s", Word.FAIL, "x", Compliance.BROKEN, f"{LOOK}Then fix the target, or correct the threshold."),
        ("recovery <= 1 s", Word.FAIL, "x", None, "Look at Recovery in the report, and check what kept"),
        ("drift(p(95)) < 10 %", Word.FAIL, "x", None, "Look at the drift in the report, and check what keeps"),
    ],
)
def test_each_reason_has_its_next_step(expect, word, reason, answer, step):
    """Never more load if the target has already missed its limit."""
    plan = counted_plan(GOODPUT, seconds=30)
    at_s = np.arange(0, 30, 0.02)
    run = run_of(plan, at_s, np.full(at_s.size, 0.1))
    assert _next_step([judged(expect, word, reason, answer)], run).startswith(step)


def test_the_next_step_points_into_the_violated_window():
    """Elsewhere `health` is worse: 1 in 5 of its requests had failed before, which the threshold allows."""
    plan = counted_plan("error_ratio < 30 % for 2 s", seconds=30)
    failed = np.repeat([0, 50, 0], [20, 2, 8])
    counted = {("balance", "server_error"): failed, ("balance", "ok"): 50 - failed}
    counted |= {("health", "timeout"): np.repeat([10, 0], [20, 10]), ("health", "ok"): np.repeat([40, 50], [20, 10])}
    verdict = verdict_on_run(run_of_seconds(plan, counted))
    assert verdict.word is Word.FAIL
    assert "from 20 s to 22 s" in verdict.reason
    assert verdict.next_step.startswith(
        "Look at balance in steady from 20 s to 22 s, where 100 of 100 requests ended in server_error."
    )


def test_windows_with_too_few_requests_dont_ask_for_a_longer_run():
    """But for more requests per second, or longer windows."""
    plan = counted_plan("error_ratio < 1 % for 1 s", seconds=30)
    verdict = verdict_on_run(run_of_seconds(plan, {("balance", "ok"): np.full(30, 100)}))
    assert verdict.word is Word.INCONCLUSIVE
    assert "100 samples in the window, needs" in verdict.reason
    assert verdict.next_step.startswith("Send more per second, or judge longer windows;")


def test_a_damaged_directory_doesnt_ask_for_a_longer_run(tmp_path):
    """Without its events there are no bursts to judge."""
    path = write_run(tmp_path / "run")
    (path / files.EVENTS).unlink()
    step = "Restore the run directory as the run left it, or run again: events.csv is missing."
    assert verdict_on_run(load_run(path)).next_step == step


@pytest.mark.parametrize(
    ("per_second", "place"),
    [
        ({"ok": 20, "server_error": 20, "timeout": 10}, "where 600 of 1,500 requests ended in server_error."),
        ({"ok": 20, "server_error": 10, "timeout": 20}, "where 600 of 1,500 requests ended in timeout."),
        ({"ok": 40, "dropped": 10}, "where 300 of 1,500 requests could not even be sent."),
    ],
)
def test_the_worst_place_is_named_with_its_most_frequent_outcome(per_second, place):
    """The endpoint with the most failures."""
    run = run_with(**per_second)
    if "dropped" in per_second:
        dropped = run.intervals["outcome"] == "dropped"
        renamed = run.intervals["series"].where(~dropped, "dropped")
        run = replace(run, intervals=run.intervals.assign(series=renamed)[~dropped | renamed.ne("completed")])
    threshold, judgement = judged("goodput >= 1 rps", Word.FAIL, "x")
    step = _next_step([(threshold, judgement)], run)
    assert step.startswith("Look at balance in steady, where "), step


def test_failures_are_worse_than_slowness():
    """By the lower bound of their share of the offered load; nothing offered is nothing bad."""
    rows = {row.endpoint: row for row in summary(run_with(ok=40, server_error=10))}
    bad, p95_s = badness(rows["balance"])
    assert (bad, p95_s) == (pytest.approx(0.18, abs=0.001), pytest.approx(0.02, rel=0.01))
    assert badness(rows["health"])[0] == 0
    empty = {row.endpoint: row for row in summary(run_with())}["balance"]
    assert badness(empty) == (0.0, 0.0)


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


@pytest.mark.parametrize(
    ("expect", "names_it"),
    [("error_ratio < 1 %", True), ("error_ratio < 5 % for 5 s", False), ("p(95) <= 1.1 * baseline", False)],
)
def test_an_outage_is_named_by_a_threshold_on_the_whole_phase(expect, names_it):
    """A window's reason already has its time; for a threshold on the baseline there is no limit to go by."""
    run = with_outage(expect)
    threshold = run.manifest.scenario.thresholds[0]
    step = outage_step(judge_threshold(threshold, run), run, Scope.of(threshold, run.manifest.scenario))
    assert step == (
        (
            "An outage began 10 s into the run (06:00:10 UTC) and lasted 5 s: 250 of 500 requests ended "
            "in server_error, "
            "of balance. Check the target's logs for that time, then fix it, or correct the threshold."
        )
        if names_it
        else None
    )


def with_outage(expect: str):
    return failing([0] * 10 + [50] * 5 + [0] * 15, expect)


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


@pytest.mark.parametrize("expect", ["throughput >= 1 rps", "count >= 1", "goodput >= 5 rps for 5 s"])
def test_a_request_that_was_never_sent_has_no_worst_place(expect):
    """A locustfile's users may never get that far; this was an exception."""
    phases = [{"name": "steady", "duration": "30 s", "rate": "50 rps"}]
    thresholds = [{"endpoint": "pay", "expect": expect}, {"expect": GOODPUT}]
    plan = open_scenario(phases=phases, mix={"balance": {"share": "100 %"}}, thresholds=thresholds)
    verdict = verdict_on_run(run_of_seconds(plan, {("balance", "ok"): np.full(30, 50)}))
    assert verdict.word is Word.FAIL
    assert verdict.next_step.startswith("Look at why pay was never sent. Then fix the target")
