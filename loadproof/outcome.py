"""The outcomes that a request can have, exactly one each, and how an answer is classified."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Outcome(StrEnum):
    """How a request ended: exactly one of these. Its text is what files and thresholds use."""

    # Enum's is a Python function; str's is faster, and every request is counted by its outcome.
    __hash__ = str.__hash__

    OK = "ok"
    """What the user expected, including a deliberate 422."""
    THROTTLED = "throttled"
    """429, or 503 with Retry-After."""
    REJECTED = "rejected"
    """401 or 403."""
    INVALID = "invalid"
    """A wrong status, header or body."""
    SERVER_ERROR = "server_error"
    """5xx, except a 503 with Retry-After."""
    TIMEOUT = "timeout"
    """One of its timeouts expired."""
    CONNECTION = "connection"
    """The connection was refused, reset or closed too early, or the answer isn't HTTP."""


ERRORS = frozenset({Outcome.INVALID, Outcome.SERVER_ERROR, Outcome.TIMEOUT, Outcome.CONNECTION})
"""The outcomes that count in the error ratio; throttled and rejected have ratios of their own."""

WITH_ANSWER = frozenset(Outcome) - {Outcome.TIMEOUT, Outcome.CONNECTION}
"""The outcomes of requests that got an answer, whatever it was."""

DROPPED = "dropped"
"""In addition to the outcomes: an arrival of the open model that was never sent, because no user was free."""
MISSED = "missed"
"""A turn of the closed model that was never sent, because its user was still waiting for an answer."""
BACKED_OFF = "backed_off"
"""A turn that was never sent, because its user had been throttled and respected the Retry-After."""
UNSENT = frozenset({DROPPED, MISSED, BACKED_OFF})

SETUP = "setup"
"""The phase name of what `on_start` and `on_stop` send, outside the plan."""


def classify(status: int, *, as_expected: bool, has_retry_after: bool) -> Outcome:
    """The outcome of an answer that arrived completely.

    `as_expected` is the user's own check of status, headers and body, and comes first: a user who
    sends a forged webhook expects its 401.
    """
    if as_expected:
        return Outcome.OK
    if status == 429 or (status == 503 and has_retry_after):
        return Outcome.THROTTLED
    if status in {401, 403}:
        return Outcome.REJECTED
    if 500 <= status <= 599:
        return Outcome.SERVER_ERROR
    return Outcome.INVALID


class Said(StrEnum):
    """What an answer promises about the payment or the event that was sent."""

    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"
    """It was not carried out, and won't be."""
    UNKNOWN = "unknown"
    """A timeout, a broken connection, a 5xx: it may have been carried out, may still be, or may never be."""


_CONFLICT: Final = 409
_NOT_FINAL: Final = frozenset({408, _CONFLICT, 423, 425})
"""4xx that don't rule out an effect: request timeout, conflict with (or lock by) one in progress, too early."""


def said_by(status: int, outcome: str, *, is_repeated: bool) -> Said:
    """What the answer promises. If our transport sent the request twice, a refusal is certain for one of them only."""
    if outcome == Outcome.OK and 200 <= status < 300:
        return Said.ACKNOWLEDGED
    is_final = 400 <= status < 500 and status not in _NOT_FINAL
    return Said.REFUSED if is_final and not is_repeated else Said.UNKNOWN


def said_to_reuse(status: int, outcome: str) -> Said:
    """What an answer promises about another order under a settled order's key: here a 409 can't mean 'in progress'."""
    return Said.REFUSED if status == _CONFLICT else said_by(status, outcome, is_repeated=False)


def said_of_event(status: int, outcome: str, *, is_repeated: bool) -> Said:
    """What an answer promises about an event: its sender looks at the status only, and stops delivering after any 2xx.

    Source: Standard Webhooks 1.0, 'Operational considerations'.
    """
    is_taken = outcome == Outcome.INVALID and 200 <= status < 300
    return Said.ACKNOWLEDGED if is_taken else said_by(status, outcome, is_repeated=is_repeated)
