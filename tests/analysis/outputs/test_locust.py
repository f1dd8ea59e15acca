"""The outputs for Locust's CSVs: the same words everywhere, bounded, inert, and silent about what can't be known."""

from __future__ import annotations

import json
import time
from xml.etree import ElementTree

import pytest
from rich.console import Console

from loadproof.analysis.foreign.locust.csvfiles import load_locust_run
from loadproof.analysis.foreign.locust.thresholds import verdict_on_csvs
from loadproof.analysis.foreign.thresholdfile import FileThreshold
from loadproof.analysis.outputs import locust
from loadproof.analysis.report.locust_page import render_csv_page
from simulation.locustcsvs import EXCEPTIONS, FAILURES, HISTORY, stats_row, total_row, write, write_history, write_stats
from tests.hostile import HOSTILE


def examined(prefix, *thresholds):
    run = load_locust_run(prefix)
    return locust.examine(
        run, verdict_on_csvs(tuple(FileThreshold(**one) for one in thresholds), run) if thresholds else None
    )


def printed(found) -> str:
    console = Console(width=200, force_terminal=False)
    with console.capture() as capture:
        console.print(locust.terminal(found))
    return capture.get()


def texts(found) -> list[str]:
    """Everything that is written or printed."""
    write_functions = (locust.csv_verdict_json, locust.csv_summary_markdown, locust.csv_junit_xml)
    return [*(write_one(found) for write_one in write_functions), printed(found), render_csv_page(found)]


@pytest.fixture
def hostile(tmp_path):
    """A run in which every text may have been chosen by somebody else."""
    prefix = write_stats(tmp_path / "run", [stats_row(HOSTILE, method=HOSTILE, failures=9), total_row()])
    write(prefix, "failures", FAILURES, [[HOSTILE, HOSTILE, HOSTILE, 9]])
    write(prefix, "exceptions", EXCEPTIONS, [[3, HOSTILE, HOSTILE, HOSTILE]])
    return examined(prefix, {"expect": "p(95) < 1 ms", "endpoint": HOSTILE, "method": HOSTILE})


def test_every_output_says_the_same_word(tmp_path):
    """JSON, Markdown, JUnit, terminal, page."""
    found = examined(write_stats(tmp_path / "run", [stats_row("/x")]), {"expect": "max < 10 ms", "endpoint": "/x"})
    verdict, summary, junit, terminal, page = texts(found)
    assert json.loads(verdict)["verdict"] == "FAIL"
    assert summary.startswith("## FAIL: run\n")
    assert len(ElementTree.fromstring(junit).findall("testcase/failure")) == 1
    assert "FAIL" in terminal
    assert '<p class="word">FAIL</p>' in page


def test_exceptions_that_decide_are_a_case_too(tmp_path):
    """Every threshold was met, but JUnit must not be green where the word isn't PASS."""
    prefix = write_stats(tmp_path / "run", [stats_row("/x")])
    write(prefix, "exceptions", EXCEPTIONS, [[900, "KeyError('x')", "", "local"]])
    found = examined(prefix, {"expect": "max < 10 s", "endpoint": "/x"})
    verdict, _, junit, _, _ = texts(found)
    assert json.loads(verdict)["verdict"] == "INCONCLUSIVE"
    assert len(ElementTree.fromstring(junit).findall("testcase/error")) == 1


def test_without_thresholds_there_is_a_report_and_no_verdict(tmp_path):
    """Null, and a sentence that says so."""
    verdict, summary, junit, terminal, page = texts(examined(write_stats(tmp_path / "run", [stats_row("/x")])))
    assert json.loads(verdict)["verdict"] is None
    assert ElementTree.fromstring(junit).get("tests") == "0"
    for text in (summary, terminal, page):
        assert "No verdict: no thresholds were given" in text
        assert "PASS" not in text.replace("PASSWORD", "")


def test_hostile_text_is_inert_in_every_output(hostile):
    """No tag, no control character, no link, no terminal escape."""
    verdict, summary, junit, terminal, page = texts(hostile)
    assert ElementTree.fromstring(junit) is not None
    for text in (verdict, summary, junit, terminal, page):
        assert not any(character in text for character in "\x00\x1b\u202e")
    assert "](javascript" not in summary
    assert "<img" not in summary.replace("\\<", "")
    assert "<img" not in page
    assert "&lt;img src=x" in page


def test_nothing_is_loaded_from_anywhere(hostile):
    """A policy forbids it, and there is nothing to load."""
    page = render_csv_page(hostile)
    assert "default-src 'none'" in page
    assert page.count("<script>") == 1
    assert "url(http" not in page


@pytest.mark.slow
@pytest.mark.parametrize("cumulative", [False, True])
def test_every_output_says_what_the_files_cant_show(tmp_path, cumulative):
    """Generator, coordinated omission, rounding, failures, percentiles since the start."""
    prefix = write_history(tmp_path / "run", users=lambda s: s, rate_rps=lambda s: s, seconds=90, cumulative=cumulative)
    verdict, summary, _, _, page = texts(examined(prefix))
    for text in (verdict, summary.replace("\\", ""), page):
        for word in ("load generator", "coordinated omission", "4.8 %", "Failures share"):
            assert word in text
        assert ("since the start, which hides" in text) == cumulative


@pytest.mark.slow
def test_every_output_says_what_could_not_be_examined(tmp_path):
    """And 'no turning point found' nowhere."""
    found = examined(
        write_history(tmp_path / "run", users=lambda s: min(1000, 70 * s), rate_rps=lambda _: 200, seconds=90)
    )
    verdict, summary, _, terminal, page = texts(found)
    for text in (verdict, summary, terminal, page):
        assert "No turning point found" not in text
        assert "Low load was too short" in text


@pytest.mark.slow
def test_every_output_reports_two_runs_and_exceptions_of_the_locustfile(tmp_path):
    """In the terminal and the summary, too."""
    prefix = write_history(tmp_path / "run", users=lambda s: s % 60, rate_rps=lambda _: 20, seconds=120, restart_s=60)
    write(prefix, "exceptions", EXCEPTIONS, [[number, f"KeyError{number}", "", "local"] for number in range(1, 30)])
    verdict, summary, _, terminal, page = texts(examined(prefix))
    for text in (verdict, summary, terminal, page):
        assert "the history holds 2 runs" in text
        assert "KeyError29" in text
    assert "26 rarer ones" in terminal
    assert "19 rarer ones" in summary


@pytest.mark.long
@pytest.mark.slow
def test_thousands_of_endpoints_are_cut_to_the_worst(tmp_path):
    """And the number left out is given."""
    rows = [stats_row(f"/item/{number}", failures=number % 7, p95_ms=10 + number % 90) for number in range(5000)]
    verdict, summary, _, _, page = texts(examined(write_stats(tmp_path / "run", rows)))
    assert len(page.encode()) < 100_000
    assert "4,950 more are left out" in page
    assert "4,980 more" in summary
    content = json.loads(verdict)
    assert (len(content["endpoints"]), content["endpoints_left_out"]) == (1000, 4000)
    assert {row["failures"] for row in content["endpoints"][:700]} == {6}


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.drawn
def test_hours_of_history_quickly_make_a_small_page(tmp_path):
    """Two hours with one row a second."""
    prefix = write_history(tmp_path / "run", users=lambda s: 1 + s / 100, rate_rps=lambda s: s / 50, seconds=2 * 3600)
    begin_s = time.process_time()
    page = render_csv_page(examined(prefix))
    assert time.process_time() - begin_s < 20
    assert len(page.encode()) < 250_000
    assert page.count("<figure>") >= 3


def test_long_texts_are_cut(tmp_path):
    """Names and messages of a hundred thousand characters."""
    prefix = write_stats(tmp_path / "run", [stats_row("x" * 100_000)])
    write(prefix, "failures", FAILURES, [["GET", "y" * 100_000, "z" * 100_000, 5]])
    found = examined(prefix, {"expect": "max < 1 s", "endpoint": "x" * 9_000})
    _, summary, junit, terminal, page = texts(found)
    assert max(map(len, (summary, junit, terminal, page))) < 40_000


def test_an_empty_run_gives_a_report(tmp_path):
    """Without requests, and without charts."""
    write(tmp_path / "run", "stats_history", HISTORY, [])
    prefix = write_stats(tmp_path / "run", [total_row(0)])
    for found in (examined(prefix), examined(prefix, {"expect": "p(95) < 1 s"})):
        page = texts(found)[-1]
        assert "No requests were recorded." in page
        assert "<figure>" not in page
    assert found.verdict.word == "INCONCLUSIVE"


@pytest.mark.slow
@pytest.mark.drawn
def test_a_run_where_everything_failed_never_passes_by_its_times(tmp_path):
    """Fast failures are no answers."""
    prefix = write_history(tmp_path / "run", users=lambda _: 5, rate_rps=lambda _: 50, error_ratio=lambda _: 1.0)
    write_stats(prefix, [stats_row("/x", failures=1000), total_row(failures=1000)])
    assert examined(prefix, {"expect": "p(95) < 1 s"}).verdict.word == "INCONCLUSIVE"
    assert examined(prefix, {"expect": "error_ratio < 1 %"}).verdict.word == "FAIL"
    assert "failures per second" in render_csv_page(examined(prefix))


@pytest.mark.slow
def test_any_timestamps_give_a_report(tmp_path):
    """Year 0, far future, backwards, twice."""
    prefix = write_history(tmp_path / "run", users=lambda _: 5, rate_rps=lambda _: 50, seconds=40)
    path = tmp_path / "run_stats_history.csv"
    lines = path.read_text().splitlines()
    for place, stamp in ((3, "0"), (5, "999999999999"), (7, "17954136"), (9, "1795413601"), (11, "N/A")):
        lines[place] = ",".join([stamp, *lines[place].split(",")[1:]])
    path.write_text("\n".join(lines) + "\n")
    assert "<h2>Source</h2>" in render_csv_page(examined(prefix))


@pytest.mark.slow
def test_the_same_csvs_give_the_same_bytes(tmp_path):
    """No clock, no random identifiers."""
    prefix = write_history(tmp_path / "run", users=lambda s: s, rate_rps=lambda s: s, seconds=90, noise=0.1)
    assert texts(examined(prefix)) == texts(examined(prefix))
