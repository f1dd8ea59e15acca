"""The summary table: one pass gives the same rows as counting each by itself."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pandas as pd
import pytest

from loadproof.analysis.estimates.estimate import quantile_estimate
from loadproof.analysis.estimates.metrics import QUANTILES
from loadproof.analysis.estimates.scope import Scope, answers_of, rows_of, tally
from loadproof.analysis.estimates.seconds import Seconds
from loadproof.analysis.estimates.summary import busiest, summary
from loadproof.analysis.frames import cellsums
from loadproof.analysis.frames.cellsums import histogram
from loadproof.analysis.frames.run import load_run
from loadproof.analysis.frames.traffic import PlainTraffic
from loadproof.outcome import Outcome
from loadproof.plan.phases import plan_phases
from loadproof.rundir import files
from loadproof.rundir.intervals import append_intervals
from loadproof.rundir.rows import PARTS, REPEATED, RETRIED, SURPLUS
from simulation.rundirs import outcomes, scenario, write_run
from tests.commands import ROOT


def test_the_summary_has_each_phase_and_endpoint(tmp_path):
    """With all endpoints together first."""
    write_run(tmp_path)
    rows = summary(load_run(tmp_path))
    assert [(row.phase.name, row.endpoint) for row in rows[:3]] == [
        ("warm-up", None),
        ("warm-up", "balance"),
        ("warm-up", "transactions"),
    ]
    assert len(rows) == 15
    for row in rows:
        assert row.tally.sent == sum(row.tally.outcomes.values())
        assert row.offered_rps >= row.goodput_rps


def assert_counted_one_by_one(run, endpoints):
    """Each row has the counts of its own cells."""
    shown = run.endpoints if endpoints is None else endpoints
    rows = summary(run, endpoints)
    assert [(row.phase, row.endpoint) for row in rows] == [
        (span, name) for span in run.phases for name in (None, *shown)
    ]
    for row in rows:
        names = run.endpoints if row.endpoint is None else (row.endpoint,)
        cells = rows_of(run, Scope((row.phase.name,), names))
        assert row.tally == tally(cells)
        answered = Seconds.of(run, (row.phase.name,)).count(answers_of(run.intervals, names))
        assert row.throughput_rps == (answered.mean() if answered.size else 0.0)
        for series, times in (("response", row.response), ("service", row.service), *row.parts.items()):
            counts = histogram(cells, series, Outcome.OK)
            assert times == {quantile: quantile_estimate(counts, quantile) for quantile in QUANTILES}, series
        assert row.parts.keys() == set(PARTS)


def test_the_summary_counts_whatever_a_tally_does(tmp_path):
    """Repeated, surplus and retried requests among them."""
    path = write_run(tmp_path)
    cell = (12, "steady", "balance", "ok")
    append_intervals(path / files.INTERVALS, [(*cell, series, 0, 7) for series in (REPEATED, SURPLUS, RETRIED)])
    (row,) = (row for row in summary(load_run(path)) if (row.phase.name, row.endpoint) == ("steady", "balance"))
    assert (row.tally.repeated, row.tally.surplus, row.tally.retried) == (7, 7, 7)


@pytest.mark.slow
@pytest.mark.parametrize("run", sorted((ROOT / "tests/golden").iterdir()), ids=lambda path: path.name)
@pytest.mark.parametrize("block", [500, 10**6])
def test_one_pass_gives_the_same_counts_as_one_row_at_a_time(run, block, monkeypatch):
    """For real runs, in however many blocks."""
    monkeypatch.setattr(cellsums, "_BLOCK_ROWS", block)
    assert_counted_one_by_one(load_run(run), None)


@pytest.mark.slow
def test_hidden_endpoints_count_in_the_total_row(tmp_path):
    """In whatever order endpoints are requested."""
    write_run(tmp_path, plan=scenario(), outcomes_of=outcomes(throttled=0.1, timeout=0.1), dropped=50)
    run = load_run(tmp_path)
    assert_counted_one_by_one(run, ("health", "balance"))
    assert_counted_one_by_one(run, ())
    assert busiest(run, 1) == ["balance"]


def test_a_run_without_requests_has_empty_rows(tmp_path):
    """It has rows all the same."""
    write_run(tmp_path)
    run = load_run(tmp_path)
    empty = run.with_intervals(run.intervals[:0])
    assert {row.tally.offered for row in summary(empty)} == {0}
    assert all(row.goodput_ratio is None and row.response[0.5] is None for row in summary(empty))


@pytest.mark.long
@pytest.mark.slow
def test_many_endpoints_dont_need_a_table_of_all_buckets():
    """A hundred of them in five phases: all histograms at once would take 51 MB."""
    names = tuple(f"endpoint-{number}" for number in range(100))
    spans = plan_phases(scenario(phases=[{"name": f"step-{n}", "duration": "10 s", "users": 10} for n in range(5)]))
    random, n = np.random.default_rng(1), 20_000
    second = random.integers(0, 50, n)
    cells = pd.DataFrame(
        {
            "second": second,
            "phase": pd.Categorical.from_codes(second // 10, [span.name for span in spans]),
            "endpoint": pd.Categorical.from_codes(random.integers(0, len(names), n), names),
            "outcome": pd.Categorical.from_codes(np.zeros(n, dtype=np.int8), ["ok"]),
            "series": pd.Categorical.from_codes(random.integers(0, 2, n), ["response", "service"]),
            "bucket": random.integers(0, 2_000, n),
            "count": 1,
        }
    )
    many = PlainTraffic(phases=tuple(spans), endpoints=names, start_unix_s=0, measured_s=50, intervals=cells)
    tracemalloc.start()
    rows = summary(many)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    sent = int((cells["series"] == "response").sum())
    assert sum(row.tally.sent for row in rows if row.endpoint) == sent
    assert sum(row.tally.sent for row in rows if row.endpoint is None) == sent
    assert most < 16e6
