"""Each answer ends in exactly one outcome."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadproof.outcome import ERRORS, Outcome, Said, classify, said_by, said_of_event, said_to_reuse


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
def test_an_unexpected_answer_is_classified_by_its_status(status, retry_after, outcome):
    """Throttled, rejected, server error, otherwise invalid."""
    assert classify(status, as_expected=False, has_retry_after=retry_after) is outcome


@given(st.integers(100, 599), st.booleans())
def test_what_the_user_expected_is_ok_whatever_the_status(status, retry_after):
    """A deliberate 422 included."""
    assert classify(status, as_expected=True, has_retry_after=retry_after) is Outcome.OK


def test_throttled_and_rejected_are_not_errors():
    """They have their own ratios."""
    assert set(Outcome) - ERRORS == {Outcome.OK, Outcome.THROTTLED, Outcome.REJECTED}


ACKNOWLEDGED, REFUSED, UNKNOWN = Said


@pytest.mark.parametrize(
    ("status", "outcome", "said"),
    [
        *((status, Outcome.OK, ACKNOWLEDGED) for status in (200, 201, 299)),
        *((status, Outcome.OK, REFUSED) for status in (400, 422, 499)),
        (404, Outcome.INVALID, REFUSED),
        (429, Outcome.THROTTLED, REFUSED),
        (403, Outcome.REJECTED, REFUSED),
        *((status, Outcome.INVALID, UNKNOWN) for status in (200, 299, 302, 408, 409, 423, 425)),
        *((status, Outcome.OK, UNKNOWN) for status in (199, 300, 500)),
        (500, Outcome.SERVER_ERROR, UNKNOWN),
        (0, Outcome.TIMEOUT, UNKNOWN),
    ],
)
def test_what_an_answer_promises(status, outcome, said):
    """About a payment. A request that our transport sent twice may have been carried out the first time."""
    assert said_by(status, outcome, is_repeated=False) is said
    assert said_by(status, outcome, is_repeated=True) is (UNKNOWN if said is REFUSED else said)


@pytest.mark.parametrize("status", [409, 404, 200, 503])
def test_a_conflict_refuses_another_order_under_a_settled_key(status):
    """Under a settled key, no other request can be in progress."""
    said = REFUSED if status == 409 else said_by(status, Outcome.INVALID, is_repeated=False)
    assert said_to_reuse(status, Outcome.INVALID) is said


@pytest.mark.parametrize("is_repeated", [True, False])
@pytest.mark.parametrize("outcome", [Outcome.OK, Outcome.INVALID])
@pytest.mark.parametrize("status", [199, 200, 204, 299, 300, 404, 500])
def test_an_event_is_taken_with_any_2xx(status, outcome, is_repeated):
    """Whatever else the answer says, its sender won't deliver it again."""
    expected = ACKNOWLEDGED if 200 <= status < 300 else said_by(status, outcome, is_repeated=is_repeated)
    assert said_of_event(status, outcome, is_repeated=is_repeated) is expected
