"""Rows of Locust's statistics that contradict themselves never pass; rows as Locust writes them never do that."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadproof.analysis.foreign.locust.csvfiles import load_locust_run
from loadproof.analysis.foreign.locust.relations import in_history, in_totals
from loadproof.analysis.foreign.locust.thresholds import verdict_on_csvs
from loadproof.analysis.foreign.thresholdfile import FileThreshold
from simulation.locustcsvs import HISTORY, STATS, Totals, history_row, measured_row, quantiles_ms, stats_row, total_row
from simulation.locustcsvs import write_stats as written
from tests.commands import ROOT

EXPECTED = ("error_ratio < 1 %", "p(90) < 200 ms", "mean < 1 min", "throughput >= 0 rps", "count >= 10")


def changed(**cells) -> list:
    """A row of 2,000 requests with a p95 of 40 ms, with these cells changed."""
    row = stats_row("/a", requests=2000)
    for name, value in cells.items():
        row[STATS.index(name)] = value
    return row


@pytest.mark.parametrize(
    ("cells", "what"),
    [
        ({"Average Response Time": 5000}, "Average (5,000 ms) is above Max (80 ms)"),
        ({"Min Response Time": 900}, "Min (900 ms) is above Average (20.25 ms)"),
        ({"Median Response Time": 4000}, "Median (4,000 ms) is not 50% (28 ms)"),
        ({"Median Response Time": 5, "Min Response Time": 10}, "Median (5 ms) is not 50% (28 ms)"),
        ({"Max Response Time": 99_999}, "Max (99,999 ms) is above 100% (80 ms)"),
        ({"100%": 4000}, "100% (4,000 ms) is above Max (80 ms)"),
        ({"98%": 4000}, "98% (4,000 ms) is above 99% (41 ms)"),
        ({"Min Response Time": 19, "50%": 10}, "Min (19 ms) is above 50% (10 ms)"),
        ({"Failures/s": 40.0}, "Failures/s is 40 and Requests/s 20, with 0 failures in 2,000 requests"),
        ({"Failure Count": 5}, "Failures/s is 0 and Requests/s 20, with 5 failures in 2,000 requests"),
        ({"Requests/s": 0}, "Requests/s is 0 with 2,000 requests"),
    ],
)
@pytest.mark.parametrize("endpoint", [None, "/a"])
def test_a_row_that_contradicts_itself_prevents_a_pass(tmp_path, cells, what, endpoint):
    """Even of thresholds that don't read those columns; and the report mentions it without thresholds."""
    row = changed(**cells)
    rows = [row, ["", "Aggregated", *row[2:]]]
    run = load_locust_run(written(tmp_path / "run", rows))
    kept = tuple(FileThreshold(expect=expect, endpoint=endpoint) for expect in EXPECTED)
    for judgement in verdict_on_csvs(kept, run).judgements:
        assert judgement.word != "PASS", judgement.reason
        assert judgement.word == "FAIL" or f"its row contradicts itself: {what}" in judgement.reason
    assert any("contradicts itself in 2 rows" in sentence and what in sentence for sentence in run.damage)


def test_a_sum_of_rows_that_contradict_themselves_prevents_a_pass(tmp_path):
    """If there is no row for all endpoints."""
    run = load_locust_run(written(tmp_path / "run", [changed(**{"Failures/s": 40.0})]))
    judgement = verdict_on_csvs((FileThreshold(expect="error_ratio < 1 %"),), run).judgements[0]
    assert "its row contradicts itself: Failures/s is 40" in judgement.reason


def test_another_endpoints_contradictions_dont_matter(tmp_path):
    """They say nothing about this endpoint, or about all together."""
    rows = [changed(), changed(**{"Name": "/b", "Failures/s": 40.0}), total_row(4000)]
    run = load_locust_run(written(tmp_path / "run", rows))
    verdict = verdict_on_csvs(
        tuple(FileThreshold(expect="error_ratio < 1 %", endpoint=endpoint) for endpoint in ("/a", "/b", None)), run
    )
    assert [str(judgement.word) for judgement in verdict.judgements] == ["PASS", "INCONCLUSIVE", "PASS"]


TIMES = st.one_of(
    st.floats(min_value=0, max_value=5), st.floats(min_value=0, max_value=300), st.floats(min_value=0, max_value=90_000)
)


@pytest.mark.slow
@given(
    st.lists(TIMES, min_size=1, max_size=60),
    st.integers(1, 400),
    st.floats(min_value=0, max_value=1),
    st.floats(min_value=0.1, max_value=100_000),
    st.floats(min_value=0, max_value=0.3),
    st.booleans(),
)
def test_what_locust_writes_never_contradicts_itself(times_ms, copies, failed, took_s, untimed, old):
    """Whatever the times, however few, by the rules of either version: in the totals and in a history's row."""
    timed = len(times_ms) * copies
    row = measured_row(times_ms * copies, int(failed * timed), took_s, untimed=int(untimed * timed), old=old)
    assert list(in_totals(dict(zip(STATS, map(str, row), strict=True)))) == []
    totals = Totals(row[2], row[3], mean_ms=row[5], longest_ms=row[7])
    head = history_row(1, totals, row[11:], rate_rps=0.0)[: HISTORY.index("Total Request Count")]
    told = [*head, *row[2:8], 20.0]
    assert list(in_history(dict(zip(HISTORY, map(str, told), strict=True)))) == []


@pytest.mark.parametrize("version", sorted(path.name for path in (ROOT / "tests/captures").glob("[0-9]*")))
def test_files_of_all_versions_dont_contradict_themselves(version):
    """As they were captured."""
    run = load_locust_run(ROOT / "tests/captures" / version / "run")
    assert not any(entry.contradictions for entry in (*run.entries, run.total))
    assert (dict(run.upsets.falls), dict(run.upsets.odd_rows), run.upsets.backward_steps) == ({}, {}, 0)


@pytest.mark.parametrize(
    ("cells", "what"),
    [
        ({"Failures/s": 50}, "Failures/s is 50 without a failure"),
        ({"Total Request Count": 0}, "Requests/s is 100 without a request"),
        ({"100%": 5000}, "100% (5,000 ms) is above Max (80 ms)"),
        ({"90%": 5000}, "90% (5,000 ms) is above 95% (40 ms)"),
        ({"Total Average Response Time": 5000}, "Average (5,000 ms) is above Max (80 ms)"),
    ],
)
def test_a_row_of_the_history_can_contradict_itself(cells, what):
    """Its own rates and percentiles, and the totals since the start."""
    row = dict(zip(HISTORY, map(str, history_row(1, Totals(100, 0, 20.0, 80.0), quantiles_ms(40))), strict=True))
    assert list(in_history(row)) == []
    assert next(in_history(row | {name: str(value) for name, value in cells.items()})) == what
