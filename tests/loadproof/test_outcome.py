"""Each answer ends in exactly one outcome."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadproof.outcome import ERRORS, Outcome, classify


@pytest.mark.parametrize(
    ("status", "retry_after", "outcome"),
    [
        (429, False, Outcome.THROTTLED),
        (503, True, Outcome.THROTTLED),
        (503, False, Outcome.SERVER_ERROR),
        (500, True, Outcome.SERVER_ERROR),
        (599, False, Outcome.SERVER_ERROR),
        (600, False, Outcome.INVALID),
        (499, False, Outcome.INVALID),
        (401, False, Outcome.REJECTED),
        (403, False, Outcome.REJECTED),
        (404, False, Outcome.INVALID),
        (200, False, Outcome.INVALID),
        (302, False, Outcome.INVALID),
    ],
)
def test_an_unexpected_answer_is_put_by_its_status(status, retry_after, outcome):
    """The table of design: throttled, rejected, server error, else invalid."""
    assert classify(status, as_expected=False, has_retry_after=retry_after) is outcome


@given(st.integers(100, 599), st.booleans())
def test_what_the_user_expected_is_ok_whatever_the_status(status, retry_after):
    """A deliberate 422 included."""
    assert classify(status, as_expected=True, has_retry_after=retry_after) is Outcome.OK


def test_throttled_and_rejected_are_no_errors():
    """They have ratios of their own."""
    assert set(Outcome) - ERRORS == {Outcome.OK, Outcome.THROTTLED, Outcome.REJECTED}
