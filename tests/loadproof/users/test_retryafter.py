"""Retry-After is read as RFC 9110 has it, and each promise is put to the test once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from loadproof.http.answers import Answer
from loadproof.outcome import Outcome
from loadproof.rundir.rows import RETRY_BROKEN, RETRY_KEPT
from loadproof.users.retryafter import Promise, Standing, retry_after_s


def saying(text: str | None) -> Answer:
    return Answer(429, {} if text is None else {"retry-after": text})


@pytest.mark.parametrize(
    ("text", "seconds"), [("0", 0), ("120", 120), (None, None), ("", None), ("soon", None), ("-3", None), ("1.5", None)]
)
def test_seconds_are_read_and_nothing_else_is_guessed(text, seconds):
    """What is not a number of seconds promises nothing."""
    assert retry_after_s(saying(text)) == seconds


@pytest.mark.parametrize(("ahead_s", "seconds"), [(30, 30), (-30, 0)])
def test_a_date_is_so_many_seconds_from_now(ahead_s, seconds):
    """One that has gone by is now."""
    text = format_datetime(datetime.now(UTC) + timedelta(seconds=ahead_s), usegmt=True)
    assert retry_after_s(saying(text)) == pytest.approx(seconds, abs=10)


def test_the_first_request_after_the_moment_tests_a_promise():
    """One before it doesn't, and no second one does."""
    standing = Standing()
    assert standing.take_due(5.0) is None
    standing.promise = promise = Promise(from_s=10.0, intended_s=3.0)
    assert standing.take_due(9.999) is None
    assert standing.take_due(10.0) is promise
    assert standing.take_due(11.0) is None


@pytest.mark.parametrize(
    ("outcome", "became"),
    [
        (Outcome.THROTTLED, RETRY_BROKEN),
        (Outcome.OK, RETRY_KEPT),
        (Outcome.REJECTED, RETRY_KEPT),
        (Outcome.INVALID, RETRY_KEPT),
        (Outcome.SERVER_ERROR, None),
        (Outcome.TIMEOUT, None),
        (Outcome.CONNECTION, None),
    ],
)
def test_whoever_is_let_in_was_told_the_truth(outcome, became):
    """A request that failed for another reason says nothing of it."""
    assert Promise.became(outcome) == became
