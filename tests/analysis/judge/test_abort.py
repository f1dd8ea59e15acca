"""A violated window ends the run: at once, cleanly, and never too early."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from loadproof.analysis.judge.abort import AbortWatch
from loadproof.analysis.judge.health import findings_in
from loadproof.analysis.judge.thresholds import judge_threshold
from loadproof.analysis.word import Word
from loadproof.plan.phases import plan_phases
from loadproof.rundir import files
from loadproof.rundir.intervals import IntervalsTail, append_intervals
from simulation.rundirs import open_scenario, scenario
from simulation.traffic import poisson, run_of

if TYPE_CHECKING:
    from loadproof.scenario.scenario import Scenario

PLAN = open_scenario(
    phases=[{"name": "steady", "duration": "60 s", "rate": "100 rps"}],
    mix={"balance": {"share": "100 %"}},
    thresholds=[
        {"expect": "error_ratio < 5 % for 5 s", "abort": True},
        {"expect": "goodput >= 70 rps for 5 s", "abort": True},
        {"expect": "p(95) < 100 ms for 5 s"},
        {"expect": "goodput > 1 rps"},
    ],
)


def watched(tmp_path, failing: range = range(0), *, response_s: float = 0.2, plan: Scenario = PLAN) -> list[str | None]:
    """What the watch says after each second, as the file grows: answers appear when they come, by intended start."""
    at_s = poisson(np.random.default_rng(1), plan)
    outcome = np.where(np.isin(at_s.astype(int), failing), "server_error", "ok")
    tmp_path.mkdir(exist_ok=True)
    watch = AbortWatch(tmp_path, plan, plan_phases(plan))
    said = [watch.broken(0.5)]
    for second in range(60):
        ended = np.floor(at_s + response_s) == second
        rows = run_of(plan, at_s[ended], np.full(ended.sum(), response_s), outcome[ended]).intervals
        append_intervals(tmp_path / files.INTERVALS, rows.to_numpy().tolist())
        said.append(watch.broken(second + 1.4))
    return said


@pytest.mark.slow
def test_a_violated_window_is_reported_once_it_is_complete(tmp_path):
    """But not for a threshold without `abort`, which every window violates here."""
    errors = PLAN.model_copy(update={"all_thresholds": [PLAN.thresholds[0], PLAN.thresholds[2]]})
    said = watched(tmp_path, range(30, 60), plan=errors)
    first = next(number for number, one in enumerate(said) if one)
    # A window of errors is complete once the last of its answers has had its time.
    latest_s = PLAN.timeouts.connect + PLAN.timeouts.total
    assert 30 + latest_s < first <= 33 + latest_s + 1
    assert said[first].startswith("all endpoints · all phases: error_ratio < 5 % for 5 s was violated from ")
    assert re.search(r"to 3[1-3] s$", said[first])


@pytest.mark.slow
def test_a_healthy_run_goes_on(tmp_path):
    """To its end; a window that isn't over yet has few requests, and violates nothing."""
    assert not any(watched(tmp_path))


@pytest.mark.slow
def test_a_healthy_run_with_slow_answers_goes_on(tmp_path):
    """Answers that take 2 s, well within their deadline, are missing from a window that has just ended."""
    plan = PLAN.model_copy(update={"deadline": 5.0, "all_thresholds": PLAN.thresholds[1:2]})
    assert not any(watched(tmp_path, response_s=2.0, plan=plan))


def test_a_target_that_stands_still_within_its_deadline_ends_a_run_all_the_same(tmp_path):
    """For 4 s of 5: in a window in mid-phase, the answers to earlier requests are no excuse."""
    goals = [{"expect": "throughput >= 80 rps for 10 s", "abort": True}, {"expect": "goodput_ratio >= 50 %"}]
    phases = [{"name": "steady", "duration": "60 s", "rate": "100 rps"}]
    plan = open_scenario(phases=phases, mix={"balance": {"share": "100 %"}}, deadline="5 s", thresholds=goals)
    at_s = np.arange(0, 60, 0.01)
    took_s = np.where((at_s >= 30) & (at_s < 34), 34 - at_s, 0.05)
    run = run_of(plan, at_s, took_s)
    append_intervals(tmp_path / files.INTERVALS, run.intervals.to_numpy().tolist())
    assert "was violated from 23 s to 33 s" in (AbortWatch(tmp_path, plan, plan_phases(plan)).broken(60) or "")
    assert judge_threshold(plan.thresholds[0], run).word is Word.FAIL


def test_answers_that_arrive_after_the_first_window_dont_end_a_run(tmp_path):
    """They take 3 s of their 5 s; answers that take longer than that are missed."""
    goals = [{"expect": "throughput >= 70 rps for 5 s", "abort": True}, {"expect": "goodput_ratio >= 50 %"}]
    plan = open_scenario(
        phases=[{"name": "steady", "duration": "60 s", "rate": "100 rps"}],
        mix={"balance": {"share": "100 %"}},
        deadline="5 s",
        thresholds=goals,
    )
    assert not any(watched(tmp_path / "slow", response_s=3.0, plan=plan))
    assert any(watched(tmp_path / "slower", response_s=8.0, plan=plan))


@pytest.mark.parametrize(("failing", "word"), [(range(10, 20), Word.FAIL), (range(0), Word.INCONCLUSIVE)])
def test_the_verdict_of_an_aborted_run_is_from_its_complete_record(failing, word):
    """If no window is violated there, the run doesn't FAIL."""
    at_s = poisson(np.random.default_rng(1), PLAN)
    outcome = np.where(np.isin(at_s.astype(int), failing), "server_error", "ok")
    run = run_of(PLAN, at_s, np.full(at_s.size, 0.2), outcome)
    ended = replace(run, manifest=run.manifest.model_copy(update={"ending": "aborted", "ending_detail": "x"}))
    assert [finding.word for finding in findings_in(ended) if "ended early" in finding.what] == [word]


def test_a_member_is_read_once_and_only_when_complete(tmp_path):
    """The file may be read while it is being written."""
    path = tmp_path / files.INTERVALS
    tail = IntervalsTail(path)
    assert tail.read() == b""
    append_intervals(path, [(0, "steady", "balance", "ok", "response", 5, 1)])
    whole = path.read_bytes()
    path.write_bytes(whole[:-3])
    assert b"balance" not in tail.read()
    path.write_bytes(whole)
    assert tail.read().splitlines()[-1] == b"0,steady,balance,ok,response,5,1"
    assert tail.read() == b""


@pytest.mark.parametrize("expect", ["throughput >= 60 rps for 1 s", "goodput >= 60 rps for 1 s"])
def test_a_slightly_late_report_doesnt_end_a_healthy_run(tmp_path, expect):
    """A second is looked at shortly after its end; its counts arrive in the file half a second later."""
    phases = [{"name": "steady", "duration": "6 s", "rate": "300 rps"}]
    goals = [{"expect": expect, "abort": True}, {"expect": "goodput_ratio >= 50 %"}]
    plan = open_scenario(phases=phases, mix={"balance": {"share": "100 %"}}, thresholds=goals, deadline="100 ms")
    at_s = np.arange(0, 6, 1 / 300)
    watch = AbortWatch(tmp_path, plan, plan_phases(plan))
    append_intervals(tmp_path / files.INTERVALS, [])
    said = []
    for second in range(6):
        said.append(watch.broken(second + 1.2))
        ended = at_s.astype(int) == second
        rows = run_of(plan, at_s[ended], np.full(ended.sum(), 0.001)).intervals
        append_intervals(tmp_path / files.INTERVALS, rows.to_numpy().tolist())
    assert not any(said)


@pytest.mark.parametrize(
    ("threshold", "outcome", "is_violated"),
    [
        ({"expect": "goodput >= 20 rps for 5 s"}, "ok", False),
        ({"endpoint": "/cart", "expect": "goodput >= 20 rps for 5 s"}, "ok", False),
        ({"expect": "error_ratio < 50 % for 5 s"}, "server_error", True),
        ({"endpoint": "/cart", "expect": "error_ratio < 50 % for 5 s"}, "server_error", True),
    ],
)
def test_a_locustfiles_requests_are_watched_although_their_names_come_later(tmp_path, threshold, outcome, is_violated):
    """A good run was ended after its first window, and a bad one never."""
    plan = scenario(
        locustfile="own.py",
        phases=[{"name": "steady", "duration": "20 s", "users": 50}],
        thresholds=[{**threshold, "abort": True}, {"expect": "goodput_ratio >= 1 %"}],
    )
    watch, said = AbortWatch(tmp_path, plan, plan_phases(plan)), []
    for second in range(20):
        cell = (second, "steady", "GET /cart", outcome)
        rows = [(*cell, "response", 5, 50), (*cell, "completed", 0, 50)]
        good = [(*cell, "good", 0, 50)] if outcome == "ok" else []
        append_intervals(tmp_path / files.INTERVALS, [*rows, *good])
        said.append(watch.broken(second + 1.4))
    assert any(said) is is_violated


def test_what_users_send_in_on_start_counts_for_nothing(tmp_path):
    """It is not part of the planned load, and not judged in the end either."""
    goals = [{"expect": "throughput >= 20 rps for 5 s", "abort": True}, {"expect": "goodput_ratio >= 50 %"}]
    plan = open_scenario(phases=[{"name": "steady", "duration": "20 s", "rate": "50 rps"}], thresholds=goals)
    rows = [(second, "setup", "balance", "ok", "completed", 0, 50) for second in range(20)]
    append_intervals(tmp_path / files.INTERVALS, rows)
    assert AbortWatch(tmp_path, plan, plan_phases(plan)).broken(20)
