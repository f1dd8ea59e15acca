"""Checks whether Retry-After is kept: whether a client that waits as long as asked is admitted."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

from loadproof.outcome import Outcome
from loadproof.rundir.rows import RETRY_BROKEN, RETRY_KEPT, RETRY_MISSING, RETRY_UNREADABLE

if TYPE_CHECKING:
    from loadproof.http.answers import Answer
    from loadproof.plan.pacing import Due

_HEADER: Final = "retry-after"
_SECONDS: Final = re.compile(r"-?\d{1,15}(\.\d{1,15})?")
"""Whole seconds by the standard; fractions of a second and moments in the past are taken literally."""
_LEAST_S: Final = 0.0


def retry_after_s(answer: Answer) -> float | None:
    """Seconds, at least 0, that Retry-After asks for, as a number or as a date; None if it is missing or unreadable.

    A date is compared with the answer's Date, as it is by the target's clock.
    Source: RFC 9110, sections 10.2.3 and 6.6.1.
    """
    text = answer.headers.get(_HEADER, "")
    if _SECONDS.fullmatch(text):
        return max(_LEAST_S, float(text))
    moment = _moment(text)
    if moment is None:
        return None
    now = _moment(answer.headers.get("date", "")) or datetime.now(UTC)
    return max(_LEAST_S, (moment - now).total_seconds())


def _moment(text: str) -> datetime | None:
    """A date in any of the three formats of RFC 9110, section 5.6.7; None if the text is no date."""
    try:
        moment = parsedate_to_datetime(text)
        # The oldest format has no time zone and means UTC. With a zone, a date may overflow the first or last day.
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (IndexError, OverflowError, TypeError, ValueError):
        return None


def promising_nothing(answer: Answer) -> str:
    """The counter for a refusal without a usable promise: Retry-After is missing or unreadable."""
    return RETRY_UNREADABLE if answer.headers.get(_HEADER) else RETRY_MISSING


@dataclass(frozen=True, slots=True)
class RetryPromise:
    """A promise that a refused client will be admitted."""

    from_s: float
    """When the client may come back, in monotonic seconds."""
    due: Due
    """When the refused request was due."""

    @staticmethod
    def became(outcome: Outcome) -> str | None:
        """The counter for the outcome of the request that tests the promise; None if it failed for another reason."""
        match outcome:
            case Outcome.THROTTLED:
                return RETRY_BROKEN
            case Outcome.SERVER_ERROR | Outcome.TIMEOUT | Outcome.CONNECTION:
                return None
            case _:
                return RETRY_KEPT


class PromiseTracker:
    """Keeps the target's last promise to one client for one endpoint.

    The first request sent after the promised moment tests the promise. If an earlier one isn't throttled, the
    promise is void.
    """

    __slots__ = ("promise",)

    def __init__(self) -> None:
        self.promise: RetryPromise | None = None

    def take_due(self, now_s: float) -> RetryPromise | None:
        """The promise that a request sent now tests, if any; it is removed, so that only one request tests it."""
        promise = self.promise
        if promise is None or now_s < promise.from_s:
            return None
        self.promise = None
        return promise
