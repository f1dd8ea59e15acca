"""The truth table of thresholds: for every kind, each state that it can end in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from loadproof.analysis.estimates.estimate import Estimate
from loadproof.analysis.frames.run import load_run
from loadproof.analysis.judge.judgement import Compliance, judge_estimate
from loadproof.analysis.judge.thresholds import judge_threshold
from loadproof.analysis.judge.verdict import verdict_on_run
from loadproof.analysis.report.page import threshold_row
from loadproof.analysis.word import Word
from loadproof.plan.decidability import undecidable
from loadproof.plan.evidence import samples_needed
from loadproof.plan.phases import expected_requests, plan_phases
from loadproof.scenario.scenario import Threshold
from loadproof.scenario.thresholds.expectation import parse_expectation
from simulation.countedseconds import counted_plan
from simulation.rundirs import open_scenario, outcomes, scenario, write_run
from simulation.traffic import run_of


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """Median 20 ms; 5 % errors, 10 % throttled."""
    path = tmp_path_factory.mktemp("mixed")
    write_run(path, outcomes_of=outcomes(throttled=0.1, server_error=0.05), spread_s=0.02)
    return load_run(path)


@pytest.mark.parametrize(
    ("threshold", "word", "reason"),
    [
        ({"expect": "p(95) < 60 ms"}, Word.PASS, "ms to"),
        ({"expect": "p(95) < 20 ms"}, Word.FAIL, "more than 1.5 times the limit"),
        ({"expect": "p(95) < 38.5 ms"}, Word.INCONCLUSIVE, "samples would decide"),
        ({"expect": "p(95) > 20 ms"}, Word.PASS, "ms to"),
        ({"expect": "p(99.9) < 500 ms", "endpoint": "webhooks"}, Word.INCONCLUSIVE, "needs 10,000"),
        ({"expect": "p(99.9) < 1 ms", "endpoint": "webhooks"}, Word.FAIL, "100 % took longer"),
        ({"expect": "p(95) < 60 ms", "outcome": "timeout"}, Word.INCONCLUSIVE, "no samples"),
        ({"expect": "p(95) < 60 ms", "series": "service"}, Word.PASS, "ms to"),
        ({"expect": "p(95) < 60 ms", "series": "connect"}, Word.INCONCLUSIVE, "no samples"),
        ({"expect": "mean < 25 ms"}, Word.PASS, "ms to"),
        ({"expect": "mean < 15 ms"}, Word.FAIL, "beyond"),
        ({"expect": "max < 1 s"}, Word.PASS, "ms"),
        ({"expect": "max < 30 ms"}, Word.FAIL, "beyond"),
        ({"expect": "error_ratio < 10 %"}, Word.PASS, "%"),
        ({"expect": "error_ratio < 1 %"}, Word.FAIL, "more than twice what the limit allows"),
        ({"expect": "error_ratio < 5 %"}, Word.INCONCLUSIVE, "straddles"),
        ({"expect": "throttled_ratio < 20 %"}, Word.PASS, "%"),
        ({"expect": "throttled_ratio < 1 %"}, Word.FAIL, "more than twice"),
        ({"expect": "rejected_ratio < 1 %"}, Word.PASS, "0 %"),
        ({"expect": "goodput_ratio >= 80 %"}, Word.PASS, "%"),
        ({"expect": "goodput_ratio >= 99 %"}, Word.FAIL, "missed it (1 % allowed)"),
        ({"expect": "goodput_ratio >= 85 %"}, Word.INCONCLUSIVE, "straddles"),
        ({"expect": "goodput >= 25 rps"}, Word.PASS, "rps"),
        ({"expect": "goodput >= 50 rps"}, Word.FAIL, "beyond"),
        ({"expect": "throughput >= 39 rps"}, Word.INCONCLUSIVE, "straddles"),
        ({"expect": "throughput >= 80 rps"}, Word.FAIL, "less than two thirds of the limit"),
        ({"expect": "throughput < 20 rps"}, Word.FAIL, "more than 1.5 times the limit"),
        ({"expect": "count >= 1000"}, Word.PASS, "1,"),
        ({"expect": "count >= 10000"}, Word.FAIL, "beyond"),
        ({"expect": "spread <= 50 ms", "phase": "bursts"}, Word.PASS, "20 ms"),
        ({"expect": "spread <= 10 ms", "phase": "bursts"}, Word.FAIL, "beyond"),
    ],
    ids=lambda value: value["expect"] if isinstance(value, dict) else str(value),
)
def test_each_threshold_ends_as_it_should(mixed, threshold, word, reason):
    """If the whole interval is on one side, it decides; if it straddles the limit, it doesn't."""
    found = judge_threshold(Threshold.model_validate({"phase": "steady"} | threshold), mixed)
    assert (found.word, reason in found.reason) == (word, True), found.reason


def test_an_empty_run_passes_nothing(tmp_path):
    """Without data there is never a PASS, whatever is expected."""
    write_run(tmp_path, lived_s=0)
    run = load_run(tmp_path)
    for text in ("p(95) < 1 h", "error_ratio < 99 %", "goodput_ratio > 1 %", "goodput > 1 rps", "max < 1 h"):
        assert judge_threshold(Threshold(expect=text), run).word is not Word.PASS


@pytest.mark.parametrize(
    ("text", "needed"),
    [
        ("p(95) < 1 s", 200),
        ("p(90) < 1 s", 100),
        ("p(99.9) < 1 s", 10_000),
        ("p(50) < 1 s", 20),
        ("p(5) < 1 s", 200),
        ("p(1) < 1 s", 1000),
        ("error_ratio < 1 %", 381),
        ("goodput_ratio >= 99 %", 381),
        ("max < 1 s", 1),
    ],
)
def test_the_samples_that_a_threshold_needs_are_known_in_advance(text, needed):
    """With that many a perfect target could pass."""
    assert samples_needed(parse_expectation(text)) == needed


def test_an_undecidable_threshold_is_refused_before_the_run():
    """30 webhooks have no 99 % quantile."""
    plan = scenario(
        thresholds=[
            {"endpoint": "webhooks", "phase": "steady", "expect": "p(99) < 1 s"},
            {"expect": "goodput_ratio >= 98 %"},
        ]
    )
    problems = list(undecidable(plan, expected_requests(plan, plan_phases(plan)), where="x.yaml"))
    assert [problem.where for problem in problems] == ["x.yaml thresholds[0]"]
    assert "it needs 1,000 samples" in str(problems[0])


@pytest.mark.parametrize(("n", "word"), [(199, Word.INCONCLUSIVE), (200, Word.PASS)])
def test_exactly_enough_samples_are_enough(n, word):
    """p(95) needs ten beyond it."""
    threshold = Threshold.model_validate({"expect": "p(95) < 1 s"})
    needed = samples_needed(threshold.expectation)
    assert needed == 200
    assert judge_estimate(threshold, Estimate(0.1, 0.09, 0.11, n), needed=needed).word is word


@pytest.mark.parametrize(("expect", "word"), [("p(10) < 1 s", Word.PASS), ("p(9) < 1 s", Word.INCONCLUSIVE)])
def test_a_low_quantile_needs_ten_samples_below_it(expect, word):
    """In a hundred answers that are all fast."""
    plan = open_scenario(
        phases=[{"name": "steady", "duration": "10 s", "rate": "10 rps"}],
        mix={"balance": {"share": "100 %"}},
        thresholds=[{"expect": expect}],
    )
    run = run_of(plan, np.arange(0, 10, 0.1), np.full(100, 0.02))
    assert judge_threshold(plan.thresholds[0], run).word is word


@pytest.mark.parametrize(("limit", "word"), [("p(95) < 1 s", Word.PASS), ("p(95) < 50 ms", Word.INCONCLUSIVE)])
def test_a_limit_far_from_all_answers_needs_no_upper_bound(limit, word):
    """Seconds are so correlated that order statistics leave the interval open; close to the answers it stays open."""
    phases = [{"name": "steady", "duration": "30 s", "rate": "10 rps"}]
    thresholds = [{"expect": limit}, {"expect": "goodput_ratio >= 50 %"}]
    plan = open_scenario(phases=phases, mix={"balance": {"share": "100 %"}}, thresholds=thresholds)
    at_s = np.arange(0, 30, 0.1)
    run = run_of(plan, at_s, np.where(at_s < 28, 0.02, 0.1 + (at_s - 28) / 20))
    judgement = judge_threshold(plan.thresholds[0], run)
    assert judgement.word is word, judgement.reason
    assert np.isfinite(judgement.estimate.high) == (word is Word.PASS)


@pytest.mark.parametrize(
    ("limit", "reason"),
    [
        ("5.2 %", "about "),
        ("5.0008 %", "too close for"),
        ("5.0008 % for 10 s", "too close for"),
    ],
)
def test_nobody_is_told_to_wait_for_millions_of_samples(limit, reason):
    """The samples needed are shown up to a hundred times the actual ones; beyond, the target is at its limit."""
    phases = [{"name": "steady", "duration": "100 s", "rate": "50 rps"}]
    thresholds = [{"expect": f"error_ratio < {limit}"}]
    plan = open_scenario(phases=phases, mix={"balance": {"share": "100 %"}}, thresholds=thresholds)
    at_s = np.arange(0, 100, 0.02)
    run = run_of(plan, at_s, np.full(at_s.size, 0.02), np.where(np.arange(at_s.size) % 20, "ok", "server_error"))
    verdict = verdict_on_run(
        replace(run, generator=run.generator.assign(sent=np.where(run.generator["second"], 0, at_s.size)))
    )
    assert verdict.word is Word.INCONCLUSIVE
    assert reason in verdict.judgements[0].reason
    assert ("Run longer" in verdict.next_step) == ("about" in reason)


def test_an_end_that_is_the_limit_is_not_shown_as_an_estimate():
    """All tables say that the value is below the limit, and no bar is drawn up to it."""
    phases = [{"name": "steady", "duration": "30 s", "rate": "10 rps"}]
    thresholds = [{"expect": "p(95) < 200 ms"}, {"expect": "goodput_ratio >= 50 %"}]
    plan = open_scenario(phases=phases, mix={"balance": {"share": "100 %"}}, thresholds=thresholds)
    at_s = np.arange(0, 30, 0.1)
    judgement = judge_threshold(
        plan.thresholds[0], run_of(plan, at_s, np.where(at_s < 28, 0.00222, 0.05 + (at_s - 28) / 40))
    )
    assert judgement.word is Word.PASS
    row = threshold_row(judgement)
    assert (row["interval"], row["mark"]) == ("below 200 ms", None)
    assert "(below 200 ms)" in judgement.reason


def test_a_quantile_far_beyond_its_limit_is_only_missed_if_few_answers_are():
    """Five times the limit, for 7 % where 5 % may: a FAIL needs twice what is allowed."""
    threshold = Threshold.model_validate({"expect": "p(95) < 100 ms"})
    plan = counted_plan("p(95) < 100 ms", seconds=60)
    at_s = np.arange(0, 60, 0.01)
    judgement = judge_threshold(threshold, run_of(plan, at_s, np.where(np.arange(at_s.size) % 100 < 7, 0.5, 0.02)))
    assert judgement.estimate.low > 0.3
    assert judgement.in_this_run is Compliance.MISSED


@pytest.mark.parametrize(("slower", "word"), [(1.0, Word.PASS), (2.0, Word.FAIL)])
def test_a_drift_within_a_phase_is_judged(slower, word):
    """From its first to its last part, over four minutes."""
    plan = counted_plan("drift(p(50)) < 20 %", seconds=240)
    at_s = np.arange(0, 240, 0.01)
    took_s = 0.02 * slower ** (at_s / 240) * np.exp(np.random.default_rng(1).normal(0, 0.1, at_s.size))
    judgement = judge_threshold(plan.thresholds[0], run_of(plan, at_s, took_s))
    assert judgement.word is word, judgement.reason
