"""Metrics of runs with a known truth."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from loadproof.analysis.estimates import overtime
from loadproof.analysis.estimates.metrics import ESTIMATORS, Ratio, counted_estimate, estimator_of, ratio_parts
from loadproof.analysis.estimates.scope import Scope, rows_of, tally
from loadproof.analysis.frames.run import load_run
from loadproof.analysis.judge.thresholds import RUN_ESTIMATORS, judge_scope
from loadproof.analysis.word import Word
from loadproof.outcome import Outcome
from loadproof.rundir import files
from loadproof.rundir.rows import EventRow
from loadproof.scenario.scenario import Threshold
from loadproof.scenario.thresholds.expectation import Metric, parse_expectation
from loadproof.scenario.thresholds.metrics import METRICS, SENT, Counted
from loadproof.units import Dimension
from simulation.rundirs import outcomes, scenario, write_run

STEADY = Scope(("steady",), ("balance", "transactions", "health", "webhooks"))


def measured(run, expectation: str, scope: Scope = STEADY):
    return counted_estimate(parse_expectation(expectation).metric, run, scope)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    path = tmp_path_factory.mktemp("mixed")
    write_run(path, outcomes_of=outcomes(throttled=0.1, server_error=0.05, rejected=0.02), dropped=50)
    return load_run(path)


def test_every_metric_that_isnt_a_count_has_an_estimator():
    """Names are in loadproof.scenario, which can't import the analysis, so this test keeps both in step."""
    assert not ESTIMATORS.keys() & RUN_ESTIMATORS.keys()
    assert ESTIMATORS.keys() | RUN_ESTIMATORS.keys() == {name for name, kind in METRICS.items() if not kind.counted}


@pytest.mark.parametrize(
    ("like", "name", "kept", "broken"),
    [
        ("error_ratio", "failure_ratio", "< 20 %", "< 1 %"),
        ("goodput", "failures", "> 0.5 rps", "> 10 rps"),
        ("count", "failed", "> 10", "> 1000"),
    ],
)
def test_a_new_counting_metric_takes_one_line(mixed, monkeypatch, *, like, name, kept, broken):
    """With it, thresholds on the metric are read and judged, as a whole and in windows."""
    failures = Counted(SENT.series, frozenset({Outcome.SERVER_ERROR}))
    monkeypatch.setitem(METRICS, name, replace(METRICS[like], counted=failures))
    counts = tally(rows_of(mixed, STEADY))
    of = {Dimension.RATIO: counts.sent, Dimension.RATE: 30, Dimension.COUNT: 1}[METRICS[name].dimension]
    assert measured(mixed, f"{name} {kept}").value == pytest.approx(counts.outcomes[Outcome.SERVER_ERROR] / of)
    windows = ["", " for 20 s"] if METRICS[name].in_windows else [""]
    for limit, word in ((kept, Word.PASS), (broken, Word.FAIL)):
        for window in windows:
            threshold = Threshold.model_validate({"expect": f"{name} {limit}{window}"})
            assert judge_scope(threshold, mixed, STEADY).word is word


@pytest.mark.parametrize("name", [name for name, kind in METRICS.items() if kind.is_ratio and kind.counted.outcomes])
def test_a_ratio_counts_the_outcomes_in_its_definition(mixed, name):
    """As a share of all requests sent."""
    counts = tally(rows_of(mixed, STEADY))
    found = measured(mixed, f"{name} < 1 %")
    assert found.n == counts.sent
    assert round(found.value * counts.sent) == sum(
        counts.outcomes[outcome] for outcome in METRICS[name].counted.outcomes
    )


@pytest.mark.parametrize("name", sorted(METRICS))
def test_each_metric_supports_what_the_grammar_allows(mixed, name):
    """In windows it is a share of something; metrics other than ratios have no parts."""
    is_part = METRICS[name].in_windows and METRICS[name].dimension in {Dimension.RATIO, Dimension.MULTIPLE}
    if name in RUN_ESTIMATORS:
        return
    assert isinstance(estimator_of(Metric(name)), Ratio) == is_part
    if not is_part:
        with pytest.raises(TypeError, match=name):
            ratio_parts(Metric(name, quantile=0.5 if name == "p" else None), mixed.intervals)


def test_the_denominator_of_ratios_is_all_requests_sent(mixed):
    """Errors, throttled and rejected requests are counted separately."""
    assert measured(mixed, "error_ratio < 1 %").value == pytest.approx(0.05, abs=0.02)
    assert measured(mixed, "throttled_ratio < 1 %").value == pytest.approx(0.10, abs=0.03)
    assert measured(mixed, "rejected_ratio < 1 %").value == pytest.approx(0.02, abs=0.015)


def test_goodput_counts_against_what_was_offered(mixed):
    """Dropped arrivals are in the denominator of their phase."""
    bursts = Scope(("bursts",), STEADY.endpoints)
    counts = tally(rows_of(mixed, bursts))
    assert counts.dropped == 50
    assert counts.offered == counts.sent + 50
    found = measured(mixed, "goodput_ratio > 1 %", bursts)
    assert found.value == pytest.approx(counts.good / counts.offered)
    assert found.n == counts.offered


def test_quantiles_read_one_outcome_only(tmp_path):
    """Throttled answers aren't in p(95) of ok, so fast refusals don't improve it."""
    write_run(tmp_path, outcomes_of=outcomes(throttled=0.5))
    run = load_run(tmp_path)
    ok = measured(run, "p(95) < 1 s")
    throttled = measured(run, "p(95) < 1 s", Scope(("steady",), STEADY.endpoints, outcome=Outcome.THROTTLED))
    sent = measured(run, "count > 1")
    assert ok.n + throttled.n == sent.value


def test_quantiles_match_the_simulated_times(tmp_path):
    """Median 20 ms, sigma 0.4: p95 is 38.6 ms; service time is shorter than response time by the lag."""
    write_run(tmp_path, lag_ms=5)
    run = load_run(tmp_path)
    assert measured(run, "p(50) < 1 s").value == pytest.approx(0.020, rel=0.06)
    assert measured(run, "p(95) < 1 s").value == pytest.approx(0.0386, rel=0.08)
    assert measured(run, "mean < 1 s").value == pytest.approx(0.0217, rel=0.06)
    service = Scope(("steady",), STEADY.endpoints, series="service")
    assert measured(run, "p(50) < 1 s", service).value == pytest.approx(0.015, rel=0.08)
    longest = measured(run, "max < 1 s")
    assert longest.low == longest.value == longest.high > measured(run, "p(99) < 1 s").value


def test_rates_are_per_second_of_the_phase(tmp_path):
    """About 39 per second are planned."""
    write_run(tmp_path)
    run = load_run(tmp_path)
    for name in ("goodput", "throughput"):
        found = measured(run, f"{name} > 1 rps")
        assert found.value == pytest.approx(39.05, rel=0.03)
        assert found.n == 30


def test_spread_is_that_of_the_worst_burst(tmp_path):
    """Read from the events; damaged ones are left out."""
    write_run(tmp_path, spread_s=0.004)
    files.append_rows(tmp_path / files.EVENTS, [EventRow(36.0, "burst", "{"), EventRow(36.0, "burst", "{}")])
    run = load_run(tmp_path)
    found = measured(run, "spread < 1 s", Scope(("bursts",), ()))
    assert (found.value, found.n) == (0.004, 2)
    assert measured(run, "spread < 1 s", STEADY) is None


@pytest.mark.slow
def test_metrics_without_samples_are_none(tmp_path):
    """An endpoint without requests has no quantile and no ratio."""
    write_run(tmp_path)
    nobody = Scope(("steady",), ("nobody",))
    for text in ("p(95) < 1 s", "max < 1 s", "mean < 1 s", "error_ratio < 1 %", "goodput_ratio > 1 %"):
        assert measured(load_run(tmp_path), text, nobody) is None


def test_no_line_is_drawn_through_an_outage():
    """Of ten seconds; a gap of two may be chance."""
    table = pd.DataFrame({0.95: 0.02}, index=[0, 1, 2, 4, 5, 15, 16])
    broken = overtime.broken_at_gaps(table)
    assert broken.index[broken[0.95].isna()].to_numpy() == pytest.approx([5.001])
    assert overtime.broken_at_gaps(table[:1]).equals(table[:1])


def test_series_over_time_add_up_to_the_total(tmp_path):
    """Every request is in one second, and in one outcome."""
    write_run(tmp_path, plan=scenario(), outcomes_of=outcomes(timeout=0.1))
    run = load_run(tmp_path)
    counts, by_outcome = overtime.over_time(run)
    sent = tally(run.intervals).sent
    assert counts["sent"].sum() == sent == by_outcome.to_numpy().sum()
    assert by_outcome["timeout"].sum() == pytest.approx(sent / 10, rel=0.2)
    assert len(overtime.quantiles_over_time(overtime.answered(run.intervals), width_s=5)) <= 9
