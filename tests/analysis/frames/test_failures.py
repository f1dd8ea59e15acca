"""What Locust wrote of failures, in the words of whoever failed."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadproof.analysis.frames.failures import failures, reason_of
from loadproof.analysis.frames.run import load_run
from loadproof.analysis.judge.verdict import verdict_on_run
from loadproof.analysis.outputs.tables import summary_markdown
from loadproof.analysis.report.run_page import render_run_page
from loadproof.rundir import files
from loadproof.rundir.rows import EventRow
from simulation.rundirs import write_run


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ("UnexpectedAnswerError('server_error: status 500')", "server_error: status 500"),
        ('ConnectionFailedError("it\'s closed")', "it's closed"),
        ("ConnectionRefusedError(111, 'Connection refused')", "ConnectionRefusedError(111, 'Connection refused')"),
        ("status 500 (busy)", "status 500 (busy)"),
        ("Broken('unfinished", "Broken('unfinished"),
        ("", ""),
    ],
)
def test_a_reason_is_no_python(error, reason):
    """Where it is an exception of one text; anything else stays as it is."""
    assert reason_of(error) == reason


@pytest.mark.slow
@given(st.text())
def test_any_text_of_an_exception_comes_back(text):
    """Quotes, backslashes and line breaks, too."""
    assert reason_of(repr(ValueError(text))) == text
    reason_of(text)


def test_the_report_has_the_reasons(tmp_path):
    """The most frequent first."""
    path = write_run(tmp_path / "run")
    text = "Method,Name,Error,Occurrences\nGET,health,UnexpectedAnswerError('status 500'),20\nGET,health,x,3\n"
    (path / files.LOCUST_FAILURES).write_text(text)
    assert [failure.message for failure in failures(path, 5)] == ["status 500", "x"]


@pytest.mark.slow
def test_a_failure_has_an_example_from_the_runs_events(tmp_path):
    """Of its endpoint and error; an unreadable event is left out."""
    path = write_run(tmp_path / "run")
    text = "Method,Name,Error,Occurrences\nGET,health,UnexpectedAnswerError('status 500'),20\nGET,health,x,3\n"
    (path / files.LOCUST_FAILURES).write_text(text)
    example = {
        "endpoint": "health",
        "error": "status 500",
        "request": "GET /health",
        "status": 500,
        "body": "<b>|no\x1b",
    }
    for detail in (json.dumps(example), "{", json.dumps({"endpoint": "health"})):
        files.append_rows(path / files.EVENTS, [EventRow(3.0, "failure", detail)])
    run = load_run(path)
    first, second = failures(path, 5, run.events)
    assert (first.request, first.answer) == ("GET /health", "500 <b>|no\x1b")
    assert (second.request, second.answer) == ("", "")
    verdict = verdict_on_run(run)
    summary = summary_markdown(run, verdict)
    assert r"| 20 | health | status 500 | GET /health → 500 \<b\>\|no\\x1b |" in summary
    page = render_run_page(run, verdict)
    assert r"<code>GET /health</code> → 500 &lt;b&gt;|no\x1b" in page
