"""Retry-After to what became of it: whether a client that waited as long as it was asked to was admitted."""

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


_HEADER: Final = "retry-after"
_SECONDS: Final = re.compile(r"-?\d{1,15}(\.\d{1,15})?")
"""Whole ones by the standard; parts of a second and moments that have gone by mean what they say."""
_LEAST_S: Final = 0.0


def retry_after_s(answer: Answer) -> float | None:
    """Seconds that Retry-After asks for, as a number or as a date; None where it says nothing readable.

    Source: RFC 9110, section 10.2.3; the three formats of a date are those of section 5.6.7.
    """
    text = answer.headers.get(_HEADER, "")
    if _SECONDS.fullmatch(text):
        return max(_LEAST_S, float(text))
    try:
        moment = parsedate_to_datetime(text)
        # The oldest format has no time zone, and means UTC.
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return max(_LEAST_S, (moment - datetime.now(UTC)).total_seconds())
    except (IndexError, OverflowError, TypeError, ValueError):
        return None


def promising_nothing(answer: Answer) -> str:
    """The counter of a refusal that says nothing readable: it has no Retry-After, or one that nobody can keep to."""
    return RETRY_UNREADABLE if answer.headers.get(_HEADER) else RETRY_MISSING


@dataclass(frozen=True, slots=True)
class Promise:
    """A refused client will be admitted."""

    from_s: float
    """Monotonic."""
    intended_s: float
    """When the refused request was due, in seconds from the run's start."""

    @staticmethod
    def became(outcome: Outcome) -> str | None:
        """The counter of what came of it for the request that put it to the test; None where that failed otherwise."""
        match outcome:
            case Outcome.THROTTLED:
                return RETRY_BROKEN
            case Outcome.SERVER_ERROR | Outcome.TIMEOUT | Outcome.CONNECTION:
                return None
            case _:
                return RETRY_KEPT


class Standing:
    """What the target last promised one client about one endpoint.

    The first request sent after the promised moment puts it to the test. Whoever is admitted before has used up
    what was promised, and the promise is void.
    """

    __slots__ = ("promise",)

    def __init__(self) -> None:
        self.promise: Promise | None = None

    def take_due(self, now_s: float) -> Promise | None:
        """The promise that a request sent now puts to the test; no other request will."""
        promise = self.promise
        if promise is None or now_s < promise.from_s:
            return None
        self.promise = None
        return promise
