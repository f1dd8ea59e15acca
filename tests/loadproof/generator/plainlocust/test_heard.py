"""Locust's events in loadproof's terms: names that a run directory can hold, and exactly one outcome each."""

from __future__ import annotations

from tests.unpatched import locust  # isort: skip # noqa: F401 - before what it patches

import errno
import socket
from types import SimpleNamespace

import pytest
import requests
from geventhttpclient.useragent import RetriesExceeded
from hypothesis import given
from hypothesis import strategies as st
from locust.exception import CatchResponseError

from loadproof.generator.plainlocust.heard import Names, is_elsewhere, outcome_of
from loadproof.outcome import Outcome
from loadproof.rundir.rows import MOST_NAMES


@given(st.text(), st.text())
def test_any_name_can_be_written(kind, name):
    """As a field of a line, and the same every time."""
    names = Names()
    written = names.of(kind, name)
    assert written == names.of(kind, name)
    assert not set('",\r\n\0') & set(written)
    assert 1 <= len(written) <= 300
    assert written == written.strip()


@pytest.mark.parametrize(
    ("url", "elsewhere"),
    [
        ("http://localhost:8000/a?b=http://x", False),
        ("HTTP://127.0.0.1:8000", False),
        ("http://0.0.0.0:8000/a", False),
        ("http://[::]:8000/a", False),
        ("http://127.0.0.1:8001/a", True),
        ("http://127.0.0.1/a", True),
        ("https://127.0.0.2:8000/a", True),
        ("http://[::1/a", False),
        ("/items", False),
        ("GET http", False),
    ],
)
def test_the_url_shows_which_host_was_asked(url, elsewhere):
    """Names of loopback are one host; something that isn't a URL counts as the target."""
    assert is_elsewhere(url, "http://127.0.0.1:8000") == elsewhere
    assert not is_elsewhere("http://api.example/a", "https://api.example/base")
    assert not is_elsewhere(url, "")


def test_names_are_locusts_with_the_method_first():
    """Commas and quotes are written as in a URL."""
    assert Names().of("GET", "/users/[id]") == "GET /users/[id]"
    assert Names().of("GET", '/a?q="1,2"') == "GET /a?q=%221%2C2%22"
    assert Names().of("", None) == "- None"


def test_a_name_per_request_does_not_mean_a_row_per_request():
    """With ids in paths, all names after the first thousand become one."""
    names = Names()
    written = {names.of("GET", f"/users/{number}") for number in range(MOST_NAMES + 50)}
    assert len(written) == MOST_NAMES + 1
    assert names.of("GET", "/users/0") == "GET /users/0"
    assert names.of("GET", "/users/one-more") == "GET others"


def caused(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = cause
    return error


ENDS = {
    "fine": (200, None, Outcome.OK),
    "a 404 that is as expected": (404, None, Outcome.OK),
    "a 404": (404, requests.HTTPError("404"), Outcome.INVALID),
    "a wrong body": (200, CatchResponseError("no token"), Outcome.INVALID),
    "a 500": (500, requests.HTTPError("500"), Outcome.SERVER_ERROR),
    "a 429": (429, requests.HTTPError("429"), Outcome.THROTTLED),
    "a 503": (503, requests.HTTPError("503"), Outcome.SERVER_ERROR),
    "a 401": (401, requests.HTTPError("401"), Outcome.REJECTED),
    "no answer in time": (0, requests.ReadTimeout(), Outcome.TIMEOUT),
    "no answer in time, by the other client": (
        0,
        RetriesExceeded("http://127.0.0.1/", 0, original=TimeoutError("timed out")),
        Outcome.TIMEOUT,
    ),
    "refused": (0, requests.ConnectionError(ConnectionRefusedError()), Outcome.CONNECTION),
    "no name": (0, socket.gaierror(), Outcome.CONNECTION),
    "no port": (0, caused(requests.ConnectionError(), OSError(errno.EADDRNOTAVAIL, "")), "ports"),
    "no file": (0, RetriesExceeded("", 0, original=OSError(errno.EMFILE, "")), "files"),
    "somebody's own error": (None, ValueError("odd"), Outcome.INVALID),
}


@pytest.mark.parametrize("name", ENDS)
def test_each_ending_has_one_outcome(name):
    """By the answer's status, or else by the causes of the exception."""
    status, exception, outcome = ENDS[name]
    response = None if status is None else SimpleNamespace(status_code=status, headers={})
    assert outcome_of(response, exception) == outcome


def test_a_503_with_retry_after_is_throttled():
    """Whatever the case of its header."""
    response = SimpleNamespace(status_code=503, headers={"RETRY-AFTER": "3"})
    assert outcome_of(response, requests.HTTPError()) is Outcome.THROTTLED
