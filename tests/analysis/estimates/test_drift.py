"""Drift is found where it exists, without false alarms on noise, however correlated seconds are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from loadproof.analysis.estimates.drift import drift_in
from loadproof.analysis.judge.thresholds import judge_threshold
from loadproof.analysis.word import Word
from loadproof.plan.decidability import undecidable
from loadproof.plan.phases import expected_requests, plan_phases
from loadproof.scenario.thresholds.expectation import parse_expectation
from simulation.soak import SCOPE, SECONDS, SOAK, soak_plan, soaked
from simulation.traffic import Times, poisson, run_of


@pytest.mark.slow
@pytest.mark.parametrize(("metric", "grows"), [("p(50)", 0.3), ("p(95)", 0.3), ("mean", 0.3), ("p(50)", -0.2)])
def test_a_drift_is_found_with_its_size(metric, grows):
    """Within its interval; and the threshold fails, or passes if it got faster."""
    level = np.log1p(grows * np.arange(SECONDS) / SECONDS)
    run = soaked(f"drift({metric}) < 10 %", level)
    threshold = run.manifest.scenario.thresholds[0]
    judgement = judge_threshold(threshold, run)
    assert judgement.word is (Word.FAIL if grows > 0 else Word.PASS), judgement.reason
    assert judgement.estimate.value == pytest.approx(grows, abs=0.08)
    assert judgement.estimate.low <= grows <= judgement.estimate.high


@pytest.mark.slow
@pytest.mark.parametrize(("minutes", "batches"), [(2, 6), (5, 6), (8, 9), (10, 12), (60, 12)])
def test_batches_are_few_and_long(minutes, batches):
    """Six to twelve, of fifty seconds if the phase is long enough."""
    plan = soak_plan("drift(p(50)) < 10 %", phases=[{**SOAK, "duration": f"{minutes} min"}])
    at_s = np.arange(0, minutes * 60, 0.5)
    found = drift_in(run_of(plan, at_s, np.full(at_s.size, 0.02)), parse_expectation("p(50) < 1 s").metric, SCOPE)
    assert len(found.values) == batches


def test_the_ramp_is_left_out():
    """Nor does its effect on response times count."""
    soak = {**SOAK, "ramp": "2 min"}
    plan = soak_plan("drift(p(50)) < 10 %", phases=[soak])
    random = np.random.default_rng(4)
    at_s = poisson(random, plan)
    run = run_of(plan, at_s, 0.02 * np.exp((at_s < 120) + random.normal(0, 0.4, at_s.size)))
    assert drift_in(run, parse_expectation("p(50) < 1 s").metric, SCOPE).change.value == pytest.approx(0, abs=0.1)


def test_a_rising_error_ratio_is_a_drift_in_points():
    """From none to 4 in a hundred."""
    plan = soak_plan("drift(error_ratio) < 1 %")
    random = np.random.default_rng(2)
    at_s = poisson(random, plan)
    failed = random.uniform(size=at_s.size) < 0.04 * at_s / SECONDS
    run = run_of(plan, at_s, np.full(at_s.size, 0.02), np.where(failed, "server_error", "ok"))
    judgement = judge_threshold(plan.thresholds[0], run)
    assert judgement.word is Word.FAIL
    assert judgement.estimate.value == pytest.approx(0.04, abs=0.015)


def resource(metric: str, values: Times) -> pd.DataFrame:
    return pd.DataFrame({"time_s": np.arange(SECONDS) + 0.5, "metric": metric, "value": values})


@pytest.mark.parametrize(
    ("name", "metric", "values", "word"),
    [
        ("memory", "process_resident_memory_bytes", np.linspace(60e6, 90e6, SECONDS), Word.FAIL),
        ("memory", "process_resident_memory_bytes", 60e6 + 1e5 * np.sin(np.arange(SECONDS)), Word.PASS),
        ("descriptors", "process_open_fds", np.linspace(40, 400, SECONDS) // 1, Word.FAIL),
        ("threads", "process_threads", np.full(SECONDS, 7.0), Word.PASS),
        ("threads", "process_open_fds", np.full(SECONDS, 7.0), Word.INCONCLUSIVE),
    ],
)
def test_drift_in_the_targets_resources_is_judged(name, metric, values, word):
    """Memory, descriptors, threads; without samples there is nothing to judge."""
    run = replace(soaked(f"drift({name}) < 10 %", np.zeros(SECONDS)), target=resource(metric, values))
    assert judge_threshold(run.manifest.scenario.thresholds[0], run).word is word


def test_a_run_cut_short_early_shows_no_drift():
    """It has fewer batches than a trend needs."""
    run = soaked("drift(p(50)) < 10 %", np.zeros(SECONDS))
    short = replace(run, intervals=run.intervals[run.intervals["second"] < 200])
    assert judge_threshold(run.manifest.scenario.thresholds[0], short).word is Word.INCONCLUSIVE


@pytest.mark.parametrize(
    ("changes", "expect", "what"),
    [
        (
            {"phases": [{"name": "soak", "duration": "30 s", "rate": "20 rps"}]},
            "drift(p(95)) < 10 %",
            "can't be decided",
        ),
        ({"phases": [{"name": "soak", "duration": "20 s", "rate": "20 rps"}]}, "drift(memory) < 10 %", "be decided"),
        ({}, "drift(memory) < 10 %", None),
    ],
)
def test_a_plan_that_cant_show_drift_is_refused(changes, expect, what):
    """Before the run."""
    plan = soak_plan(expect, **changes)
    found = list(undecidable(plan, expected_requests(plan, plan_phases(plan)), where="x.yaml"))
    assert [what in problem.what for problem in found] == ([True] if what else [])
