"""Retry-After is read as in RFC 9110, and each promise is tested once."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadproof.http.answers import Answer
from loadproof.outcome import Outcome
from loadproof.plan.pacing import Due
from loadproof.rundir.rows import RETRY_BROKEN, RETRY_KEPT, RETRY_MISSING, RETRY_UNREADABLE
from loadproof.users.retryafter import PromiseTracker, RetryPromise, promising_nothing, retry_after_s


def saying(text: str | None) -> Answer:
    return Answer(429, {} if text is None else {"retry-after": text})


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("120", 120), ("0.5", 0.5), ("1.25", 1.25), ("-3", 0), ("-0.5", 0), ("9999999999", 1e10)],
)
def test_seconds_are_read(text, seconds):
    """Fractions, too; a time in the past means now, as with dates."""
    assert retry_after_s(saying(text)) == pytest.approx(seconds)


@pytest.mark.parametrize("text", [None, ""])
def test_a_refusal_without_a_time_makes_no_promise(text):
    """An empty header says no more than a missing one."""
    assert (retry_after_s(saying(text)), promising_nothing(saying(text))) == (None, RETRY_MISSING)


UNREADABLE = (
    *("soon", "1e3", "0x10", "inf", "nan", "1,5", "5, 5", ".5", "5.", "5 s", "+5", "²", "9" * 400),
    *("Fri, 01 Jan 10000 00:00:00 GMT", f"Fri, 01 Jan {'9' * 30} 00:00:00 GMT", "Fri, 32 Jan 2027 00:00:00 GMT"),
)


@pytest.mark.parametrize("text", UNREADABLE)
def test_an_unusable_time_counts_as_unreadable(text):
    """It is not the same as no header."""
    assert (retry_after_s(saying(text)), promising_nothing(saying(text))) == (None, RETRY_UNREADABLE)


@given(st.text(st.characters(max_codepoint=255), max_size=60))
def test_any_text_is_seconds_or_unreadable(text):
    """Nothing is raised into the user's task."""
    seconds = retry_after_s(saying(text))
    assert seconds is None or 0 <= seconds < math.inf


@given(st.dates(max_value=date(3000, 1, 1)), st.sampled_from(["%A, %d-%b-%y", "%a, %d %b %Y", "%a %b %d"]), st.text())
def test_any_text_that_begins_like_a_date_is_seconds_or_unreadable(day, style, rest):
    """Date parsers raise several kinds of errors."""
    seconds = retry_after_s(saying(f"{day:{style}} {rest}"))
    assert seconds is None or 0 <= seconds < math.inf


@pytest.mark.parametrize("style", ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"])
def test_dates_come_in_three_formats(style):
    """RFC 9110, section 5.6.7, including the two obsolete ones."""
    text = (datetime.now(UTC) + timedelta(seconds=300)).strftime(style)
    assert retry_after_s(saying(text)) == pytest.approx(300, abs=10)


@pytest.mark.parametrize(("ahead_s", "seconds"), [(30, 30), (-30, 0)])
def test_a_date_becomes_seconds_from_now(ahead_s, seconds):
    """A date in the past means now."""
    text = format_datetime(datetime.now(UTC) + timedelta(seconds=ahead_s), usegmt=True)
    assert retry_after_s(saying(text)) == pytest.approx(seconds, abs=10)


@pytest.mark.parametrize("skew_s", [-3600, -20, 20, 3600])
@pytest.mark.parametrize("wait_s", [0, 7])
def test_a_date_counts_from_the_answers_own_date(skew_s, wait_s):
    """A target with a wrong clock makes the same promise; an invalid Date counts as missing."""
    now = datetime.now(UTC) + timedelta(seconds=skew_s)
    date, until = (format_datetime(now + timedelta(seconds=ahead_s), usegmt=True) for ahead_s in (0, wait_s))
    assert retry_after_s(Answer(429, {"retry-after": until, "date": date})) == wait_s
    until = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    for odd in ("", "today", "0"):
        assert retry_after_s(Answer(429, {"retry-after": until, "date": odd})) == pytest.approx(60, abs=10)


def test_the_first_request_after_the_promised_moment_tests_it():
    """An earlier one doesn't, nor does a second one."""
    tracker = PromiseTracker()
    assert tracker.take_due(5.0) is None
    tracker.promise = promise = RetryPromise(from_s=10.0, due=Due(3.0))
    assert tracker.take_due(9.999) is None
    assert tracker.take_due(10.0) is promise
    assert tracker.take_due(11.0) is None


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
def test_a_promise_is_kept_if_the_client_is_admitted(outcome, became):
    """A request that failed for another reason doesn't tell."""
    assert RetryPromise.became(outcome) == became
