"""What happened in a run is a fact: an outage is a FAIL, and the next step names it."""

from __future__ import annotations

import numpy as np
import pytest

from loadproof.analysis.estimates.misses import misses_of
from loadproof.analysis.estimates.scope import Scope
from loadproof.analysis.judge.judgement import Compliance
from loadproof.analysis.judge.outage import outage_of
from loadproof.analysis.judge.thresholds import judge_threshold
from loadproof.analysis.judge.verdict import verdict_on_run
from loadproof.analysis.word import Word
from simulation.countedseconds import counted_plan, failing
from simulation.rundirs import open_scenario
from simulation.traffic import run_of, run_of_seconds

RPS = 150


def run_with(failed, *expects: str, outcome: str = "server_error"):
    return failing(failed, *expects, outcome=outcome, rps=RPS)


OUTAGE = [0] * 5 + [150, 150, 24] + [0] * 4
"""324 of 1,800."""


@pytest.mark.parametrize(
    "expect",
    ["error_ratio < 1 %", "goodput_ratio >= 99 %", "burn_rate(99) < 1 x", "goodput >= 148 rps"],
)
def test_an_outage_of_two_seconds_is_a_fail(expect):
    """However uncertain it is whether the next run has one, too."""
    run = run_with(OUTAGE, expect)
    found = judge_threshold(run.manifest.scenario.thresholds[0], run)
    assert (found.word, found.in_this_run, found.next_time) == (Word.FAIL, Compliance.BROKEN, Compliance.UNSURE)
    assert found.decided_by == "in this run"
    assert "in this run, more than twice what the limit allows" in found.reason


@pytest.mark.parametrize(("outcome", "expect"), [("throttled", "throttled_ratio"), ("rejected", "rejected_ratio")])
def test_refusals_are_judged_like_failures(outcome, expect):
    """Whatever the outcome of the requests."""
    run = run_with(OUTAGE, f"{expect} < 1 %", outcome=outcome)
    assert verdict_on_run(run).word is Word.FAIL


def test_errors_in_the_second_half_are_a_fail_that_names_when_they_began():
    """Never 'run longer'."""
    verdict = verdict_on_run(run_with([0] * 6 + [72] * 6, "error_ratio < 1 %"))
    assert verdict.word is Word.FAIL
    assert "An outage began 6 s into the run (06:00:06 UTC) and lasted until the run ended, 6 s later" in (
        verdict.next_step
    )
    assert "432 of 900 requests ended in server_error, of balance" in verdict.next_step
    assert "longer" not in verdict.next_step


def test_an_outage_is_reported_with_its_phase_if_there_are_several():
    """And that it lasted until that phase ended."""
    phases = [{"name": name, "duration": "20 s", "rate": f"{RPS} rps"} for name in ("calm", "after")]
    thresholds = [{"expect": "error_ratio < 1 %"}]
    plan = open_scenario(phases=phases, mix={"balance": {"share": "100 %"}}, thresholds=thresholds)
    failed = np.repeat([0, RPS, 0], [15, 5, 20])
    run = run_of_seconds(plan, {("balance", "ok"): RPS - failed, ("balance", "connection"): failed})
    told = "15 s into the run, in calm (06:00:15 UTC) and lasted until calm ended, 5 s later: 750 of 750 requests ended"
    assert f"{told} in connection." in verdict_on_run(run).next_step


def test_an_outage_within_the_limit_is_named_too():
    """The limit was met but may not be next time: that is INCONCLUSIVE, and a longer run won't help."""
    verdict = verdict_on_run(run_with([0] * 30 + [50] + [0] * 29, "error_ratio < 1 %"))
    (judgement,) = verdict.judgements
    assert (verdict.word, judgement.in_this_run, judgement.next_time) == (
        Word.INCONCLUSIVE,
        Compliance.KEPT,
        Compliance.UNSURE,
    )
    assert judgement.decided_by == "next time"
    assert "An outage began 30 s into the run" in verdict.next_step
    assert "Run longer" not in verdict.next_step
    assert "would decide" not in judgement.reason


def test_a_narrowly_missed_limit_is_no_fail():
    """1.3 % in 12 s, and 1 % may fail."""
    failed = [2] * 11 + [1]
    found = judge_one("error_ratio < 1 %", failed)
    assert found.word is Word.INCONCLUSIVE
    assert "Run longer" in verdict_on_run(run_with(failed, "error_ratio < 1 %")).next_step


def judge_one(expect, failed):
    run = run_with(failed, expect)
    return judge_threshold(run.manifest.scenario.thresholds[0], run)


def test_few_requests_dont_fail_by_chance():
    """2 of 27 are more than twice 1 % by Wilson's interval, but happen by chance in one run of ten at 2 %."""
    plan = counted_plan("error_ratio < 1 %", seconds=27, rps=RPS)
    failed = np.zeros(27, dtype=int)
    failed[[3, 20]] = 1
    run = run_of_seconds(plan, {("balance", "ok"): 1 - failed, ("balance", "server_error"): failed})
    assert judge_threshold(plan.thresholds[0], run).word is Word.INCONCLUSIVE


LIMIT_MS = 20 * np.exp(0.4 * 1.6448536)


@pytest.mark.parametrize(
    ("slower", "seconds", "word"),
    [(3.0, (20, 40), Word.FAIL), (1.05, (0, 60), Word.INCONCLUSIVE), (1.0, (0, 60), Word.INCONCLUSIVE)],
)
def test_a_p95_far_beyond_its_limit_is_a_fail_and_one_a_little_beyond_is_not(slower, seconds, word):
    """Three times as long for a third of a minute; 5 % longer all the time."""
    plan = counted_plan(f"p(95) < {LIMIT_MS:.2f} ms", seconds=60, rps=RPS)
    at_s = np.arange(0, 60, 1 / RPS)
    response_s = 0.02 * np.exp(np.random.default_rng(1).normal(0, 0.4, at_s.size))
    is_slow = (at_s >= seconds[0]) & (at_s < seconds[1])
    verdict = verdict_on_run(run_of(plan, at_s, np.where(is_slow, slower, 1) * response_s))
    assert verdict.word is word, verdict.reason
    if word is Word.FAIL:
        assert "A slow stretch began 20 s into the run" in verdict.next_step
        assert "requests took longer than 38.6 ms" in verdict.next_step


def test_a_certain_p95_slightly_beyond_its_limit_is_no_fail():
    """A third of the answers take longer than the limit, but only by 2 %."""
    plan = counted_plan("p(95) < 20 ms", seconds=60, rps=RPS)
    at_s = np.arange(0, 60, 1 / RPS)
    took_s = np.where((at_s >= 20) & (at_s < 40), 0.0204, 0.0190)
    assert judge_threshold(plan.thresholds[0], run_of(plan, at_s, took_s)).word is Word.INCONCLUSIVE


def test_failures_spread_over_a_run_are_no_outage():
    """That is the target's normal behaviour; the worst place is named instead."""
    run = run_with([15] * 30, "error_ratio < 1 %")
    scope = Scope.of(run.manifest.scenario.thresholds[0], run.manifest.scenario)
    assert outage_of(misses_of(run.manifest.scenario.thresholds[0].expectation, run, scope), run) is None
    assert verdict_on_run(run).next_step.startswith(
        "Look at balance in steady, where 450 of 4,500 requests ended in server_error"
    )
