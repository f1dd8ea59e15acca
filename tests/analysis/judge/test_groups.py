"""Thresholds on groups of requests read what was timed as one, and nothing else reads it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from loadproof.analysis.estimates.scope import tally
from loadproof.analysis.estimates.summary import summary, summary_of_groups
from loadproof.analysis.frames.run import Run, load_run
from loadproof.analysis.judge.thresholds import judge_threshold
from loadproof.analysis.judge.verdict import verdict_on_run
from loadproof.analysis.outputs.verdict.verdictfile import verdict_json
from loadproof.analysis.report import charts
from loadproof.analysis.report.drawing import Drawing
from loadproof.analysis.report.run_page import render_run_page
from loadproof.analysis.word import Word
from loadproof.histogram import bucket_of
from loadproof.rundir import files
from loadproof.rundir.intervals import append_intervals
from loadproof.rundir.rows import IntervalRow
from loadproof.scenario.scenario import Threshold
from simulation.rundirs import scenario, write_run

PLAN = {
    "mix": {"balance": {"share": "100 %", "every": "2.5 s", "requests": ["balance", "cart"]}},
    "groups": {"checkout": {"requests": ["balance", "cart"], "deadline": "1 s"}},
    "phases": [{"name": "steady", "duration": "30 s", "users": 100}],
}
OK_A_SECOND, FAILED_A_SECOND = 18, 2


def run_with_groups(path, *thresholds: dict) -> Run:
    """Requests of 20 ms, all ok; groups of 400 ms, one in ten of them failed."""
    plan = scenario(**PLAN, thresholds=[*thresholds, {"expect": "goodput_ratio >= 99 %"}])
    write_run(path, plan=plan)
    bucket = bucket_of(400_000)
    append_intervals(
        path / files.INTERVALS,
        [
            row
            for second in range(30)
            for row in (
                IntervalRow(second, "steady", "checkout", "ok", "response", bucket, OK_A_SECOND),
                IntervalRow(second, "steady", "checkout", "ok", "good", 0, OK_A_SECOND),
                IntervalRow(second, "steady", "checkout", "ok", "completed", 0, OK_A_SECOND),
                IntervalRow(second, "steady", "checkout", "server_error", "response", bucket, FAILED_A_SECOND),
                IntervalRow(second, "steady", "checkout", "server_error", "completed", 0, FAILED_A_SECOND),
            )
        ],
    )
    return load_run(path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("expect", "word"),
    [
        ("p(90) < 500 ms", Word.PASS),
        ("p(90) < 100 ms", Word.FAIL),
        ("error_ratio < 20 %", Word.PASS),
        ("error_ratio < 1 %", Word.FAIL),
        ("goodput_ratio >= 80 %", Word.PASS),
        ("goodput_ratio >= 99 %", Word.FAIL),
        ("goodput >= 15 rps", Word.PASS),
        ("count >= 500", Word.PASS),
        ("count >= 5000", Word.FAIL),
        ("error_ratio < 50 % for 5 s", Word.PASS),
    ],
)
def test_a_threshold_on_a_group_reads_the_group(tmp_path, expect, word):
    """Not its requests, which are all ok."""
    run = run_with_groups(tmp_path)
    found = judge_threshold(Threshold(endpoint="checkout", expect=expect), run)
    assert found.word is word, found.reason


@pytest.mark.slow
def test_nothing_else_reads_a_group(tmp_path):
    """Neither totals nor tables of requests: they are as if there were no groups."""
    (tmp_path / "without").mkdir()
    without = write_run(tmp_path / "without", plan=scenario(**PLAN, thresholds=[{"expect": "goodput_ratio >= 99 %"}]))
    run = run_with_groups(tmp_path / "with")
    assert tally(run.intervals) == tally(load_run(without).intervals)
    assert {row.endpoint for row in summary(run)} == {None, "balance", "cart"}
    (row,) = summary_of_groups(run)
    assert (row.endpoint, row.tally.sent, row.tally.good) == ("checkout", 600, 540)


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.drawn
def test_a_groups_failures_are_the_reason_and_the_place_to_look(tmp_path):
    """In verdict.json and on the page as well."""
    run = run_with_groups(tmp_path, {"endpoint": "checkout", "expect": "error_ratio < 1 %"})
    verdict = verdict_on_run(run)
    assert verdict.word is Word.FAIL
    assert "checkout in steady, where 60 of 600 requests ended in server_error" in verdict.next_step
    written = json.loads(verdict_json(run, verdict))
    assert [(row["endpoint"], row["sent"]) for row in written["groups"]] == [("checkout", 600)]
    page = render_run_page(run, verdict)
    assert "groups: from the first request" in page
    assert "<h3>By group</h3>" in page


def test_a_group_is_drawn_as_a_whole(tmp_path, monkeypatch):
    """Over time, and up to the slowest of as many as there were; next to the requests, which took 20 ms."""
    drawn = []
    monkeypatch.setattr(Drawing, "svg", lambda drawing, *_: drawn.append(drawing.figure))
    run = run_with_groups(tmp_path)
    charts.groups_chart(run)
    charts.spectrum_chart(charts.spectrum_of(run), charts.spectra_of_groups(run))
    over_time, spectrum = ({str(line.get_label()): line for line in figure.axes[0].get_lines()} for figure in drawn)
    assert over_time["checkout"].get_ydata() == pytest.approx([400] * 30, rel=0.01)
    assert list(spectrum) == ["response time", "service time", "group checkout"]
    assert spectrum["group checkout"].get_ydata() == pytest.approx([400] * 200, rel=0.01)
    assert max(spectrum["group checkout"].get_xdata()) == 30 * OK_A_SECOND
    assert max(spectrum["response time"].get_ydata()) < 400
    assert charts.groups_chart(replace(run, groups=run.groups[:0])) is None
