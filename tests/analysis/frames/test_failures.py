"""Failures and exceptions, as Locust wrote them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadproof.analysis.frames.failures import failures, raised_in, reason_of
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
def test_a_reason_has_no_python_around_it(error, reason):
    """If it is an exception with a single text; anything else stays unchanged."""
    assert reason_of(error) == reason


@pytest.mark.slow
@given(st.text())
def test_any_exception_text_is_recovered(text):
    """Including quotes, backslashes and line breaks."""
    assert reason_of(repr(ValueError(text))) == text
    reason_of(text)


def test_the_report_has_the_reasons(tmp_path):
    """Most frequent first."""
    path = write_run(tmp_path / "run")
    text = "Method,Name,Error,Occurrences\nGET,health,UnexpectedAnswerError('status 500'),20\nGET,health,x,3\n"
    (path / files.LOCUST_FAILURES).write_text(text)
    assert [failure.message for failure in failures(path, 5)] == ["status 500", "x"]


@pytest.mark.slow
def test_a_failure_has_an_example_from_the_runs_events(tmp_path):
    """By endpoint and error; an unreadable event is left out."""
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


@pytest.mark.parametrize(
    ("within", "place"),
    [
        ("/venv/lib/python3.11/site-packages/requests/models.py", "own.py, line 1, in look"),
        ("/usr/lib/python3.11/json/decoder.py", "own.py, line 1, in look"),
        ("/x/loadproof/generator/guards/hostguard.py", "own.py, line 1, in look"),
        ("<frozen importlib._bootstrap>", "own.py, line 1, in look"),
        ("/home/u/loadproof/shared.py", "shared.py, line 2, in f"),
    ],
)
def test_the_place_of_an_exception_is_in_the_users_own_code(tmp_path, within, place):
    """Not in the library code that raised it, which users can't change."""
    traceback = f' File ""/srv/own.py"", line 1, in look\n File ""{within}"", line 2, in f\n'
    (tmp_path / files.LOCUST_EXCEPTIONS).write_text(f'Count,Message,Traceback,Nodes\n3,no,"{traceback}",local\n')
    assert raised_in(tmp_path)[0].place == place


def test_an_exception_outside_users_code_keeps_its_place(tmp_path):
    """There is no better one."""
    row = '3,no," File ""/usr/lib/python3.11/json/decoder.py"", line 2, in f\n",local\n'
    (tmp_path / files.LOCUST_EXCEPTIONS).write_text(f"Count,Message,Traceback,Nodes\n{row}")
    assert raised_in(tmp_path)[0].place == "decoder.py, line 2, in f"
