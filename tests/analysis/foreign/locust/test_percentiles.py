"""Percentiles of the history and of the totals: honest ones always leave room for each other."""

from __future__ import annotations

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadproof.analysis.foreign.locust.csvfiles import load_locust_run
from loadproof.analysis.foreign.locust.percentiles import percentile_denied
from loadproof.scenario.thresholds.expectation import parse_expectation
from simulation.locustcsvs import HISTORY, PERCENTILES, Totals, history_row, measured_row, stats_row, write, write_stats

SECOND = st.tuples(st.integers(0, 20), st.integers(0, 20), st.sampled_from((5, 400, 7000)))
"""Numbers of fast and slow requests, and how slow the latter are (ms)."""


@pytest.mark.slow
@given(st.lists(SECOND, min_size=12, max_size=40), st.booleans())
def test_what_locust_writes_about_one_run_leaves_room(tmp_path_factory, seconds, cumulative):
    """Whatever came when: windows of ten seconds, or everything since the start."""
    times = [[3.0] * fast + [float(ms)] * slow for fast, slow, ms in seconds]
    everything = [time for second in times for time in second] or [3.0]
    sent = list(accumulate(map(len, times)))
    rows = []
    for second in range(len(times)):
        window = [time for part in times[0 if cumulative else max(0, second - 9) : second + 1] for time in part]
        so_far = [time for part in times[: second + 1] for time in part] or [0.0]
        quantiles = measured_row(window, 0, 1.0)[11:] if window else [0] * len(PERCENTILES)
        totals = Totals(sent[second], 0, sum(so_far) / len(so_far), max(so_far))
        rows.append(history_row(second, totals, quantiles, rate_rps=float(bool(sent[second]))))
    row = measured_row(everything, 0, float(len(times)))
    prefix = write_stats(tmp_path_factory.mktemp("room") / "run", [row, ["", "Aggregated", *row[2:]]])
    run = load_locust_run(write(prefix, "stats_history", HISTORY, rows))
    for quantile in PERCENTILES:
        assert percentile_denied(parse_expectation(f"p({100 * quantile:.10g}) < 1 s"), run) is None
    assert (dict(run.upsets.falls), dict(run.upsets.odd_rows)) == ({}, {})


def denied(tmp_path, *, requests: int, every_s: int, rows: int = 20) -> bool:
    """Whether 4 s at p90 in each row, at 100 requests a second, leaves no room for 40 ms at p95 of all requests."""
    told = [history_row(n, Totals(100 * n, 0, 20.0, 6000.0), [4000] * 11) for n in range(1, every_s * rows, every_s)]
    total = ["", "Aggregated", *stats_row("/a", requests=requests)[2:]]
    prefix = write_stats(tmp_path / "run", [total])
    run = load_locust_run(write(prefix, "stats_history", HISTORY, told))
    return percentile_denied(parse_expectation("p(95) < 1 s"), run) is not None


def test_a_history_of_a_small_part_leaves_room_for_the_other_requests(tmp_path):
    """Requests that it doesn't cover may have been fast: after its end, or in between if it has few rows."""
    assert denied(tmp_path, requests=2000, every_s=1)
    assert not denied(tmp_path, requests=40_000, every_s=1)
    assert not denied(tmp_path, requests=40_000, every_s=20)
    assert not denied(tmp_path, requests=900, every_s=1, rows=9)
