"""What to do after a verdict that thresholds decided."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from loadproof.analysis.estimates.estimate import Estimate
from loadproof.analysis.estimates.scope import Scope
from loadproof.analysis.estimates.summary import summary
from loadproof.analysis.frames.run import load_run
from loadproof.analysis.judge.judgement import TOO_CLOSE, Compliance, Judgement, Wanting
from loadproof.analysis.judge.nextstep import badness, next_step, outage_step
from loadproof.analysis.judge.thresholds import judge_threshold
from loadproof.analysis.judge.verdict import verdict_on_run
from loadproof.analysis.word import Word
from loadproof.rundir import files
from loadproof.scenario.scenario import Threshold
from simulation.countedseconds import counted_plan, failing, steady_run
from simulation.rundirs import open_scenario, write_run
from simulation.traffic import run_of, run_of_seconds

GOODPUT = "goodput_ratio >= 50 %"


def judged(expect: str, word: Word, reason: str, in_this_run: Compliance | None = None) -> tuple[Threshold, Judgement]:
    threshold = Threshold.model_validate({"expect": expect})
    return threshold, Judgement(threshold, word, Estimate(0.1, 0.1, 0.1, 1), reason, in_this_run)


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
    assert next_step([(threshold, replace(judgement, wanting=wanting))], steady_run(ok=50)).startswith(step)


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
    assert next_step([judged(expect, word, reason, answer)], run).startswith(step)


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
    run = steady_run(**per_second)
    if "dropped" in per_second:
        dropped = run.intervals["outcome"] == "dropped"
        renamed = run.intervals["series"].where(~dropped, "dropped")
        run = replace(run, intervals=run.intervals.assign(series=renamed)[~dropped | renamed.ne("completed")])
    threshold, judgement = judged("goodput >= 1 rps", Word.FAIL, "x")
    step = next_step([(threshold, judgement)], run)
    assert step.startswith("Look at balance in steady, where "), step


@pytest.mark.parametrize(
    ("changed", "place"),
    [
        ({}, "balance in steady, where p95 is 899 ms."),
        ({"expect": "p(95) < 200 ms for 10 s"}, "balance in steady from 0 s to 10 s, where p95 is 899 ms."),
        ({"expect": "mean < 200 ms"}, "balance in steady, where p95 is 899 ms."),
        ({"expect": "max < 200 ms"}, "health in steady, where p99 is 2 s."),
        ({"expect": "p(99.9) < 200 ms"}, "health in steady, where p99 is 2 s."),
        ({"outcome": "throttled"}, "health in steady, where p95 (throttled) is 300 ms."),
        ({"series": "service"}, "balance in steady, where p95 (service) is 899 ms."),
        ({"outcome": "timeout"}, "health in steady, where 15 of 1,500 requests ended in throttled."),
        ({"expect": "error_ratio < 1 %"}, "health in steady, where 15 of 1,500 requests ended in throttled."),
    ],
)
def test_a_threshold_on_times_points_at_the_slowest_times_that_it_reads(changed, place):
    """`health` has a few refusals, and a few times that are longer, but its p95 is short."""
    run = steady_run(ok=50)
    throttled = np.arange(1500) % 100 == 0
    health_s = np.where(throttled, 0.3, np.where(np.arange(1500) % 50 == 1, 2.0, 0.005))
    at_s, plan = np.arange(1500) / 50, run.manifest.scenario
    parts = [
        run_of(plan, at_s, np.full(1500, 0.9)).intervals,
        run_of(plan, at_s, health_s, np.where(throttled, "throttled", "ok")).intervals.assign(endpoint="health"),
    ]
    run = replace(run, intervals=pd.concat(parts).astype({"endpoint": "category"}))
    threshold = Threshold.model_validate({"expect": "p(95) < 200 ms", **changed})
    window_s = (0, 10) if "for" in threshold.expect else None
    judgement = Judgement(threshold, Word.FAIL, Estimate(1, 1, 1, 1), "x", window_s=window_s)
    assert next_step([(threshold, judgement)], run).startswith(f"Look at {place}")


def test_failures_are_worse_than_slowness():
    """By the lower bound of their share of the offered load; nothing offered is nothing bad."""
    rows = {row.endpoint: row for row in summary(steady_run(ok=40, server_error=10))}
    bad, p95_s = badness(rows["balance"])
    assert (bad, p95_s) == (pytest.approx(0.18, abs=0.001), pytest.approx(0.02, rel=0.01))
    assert badness(rows["health"])[0] == 0
    empty = {row.endpoint: row for row in summary(steady_run())}["balance"]
    assert badness(empty) == (0.0, 0.0)


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


@pytest.mark.parametrize("expect", ["throughput >= 1 rps", "count >= 1", "goodput >= 5 rps for 5 s"])
def test_a_request_that_was_never_sent_has_no_worst_place(expect):
    """A locustfile's users may never get that far; this was an exception."""
    phases = [{"name": "steady", "duration": "30 s", "rate": "50 rps"}]
    thresholds = [{"endpoint": "pay", "expect": expect}, {"expect": GOODPUT}]
    plan = open_scenario(phases=phases, mix={"balance": {"share": "100 %"}}, thresholds=thresholds)
    verdict = verdict_on_run(run_of_seconds(plan, {("balance", "ok"): np.full(30, 50)}))
    assert verdict.word is Word.FAIL
    assert verdict.next_step.startswith("Look at why pay was never sent. Then fix the target")
