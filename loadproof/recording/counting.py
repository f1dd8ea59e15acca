"""Counts what has no moments of its own: requests that were never sent, turns, and what else is said of requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadproof.histogram import bucket_of
from loadproof.outcome import DROPPED, SETUP, Outcome
from loadproof.plan.pacing import Due
from loadproof.plan.phases import phase_at
from loadproof.recording.requestlistener import RequestListener
from loadproof.recording.second import Second
from loadproof.rundir.rows import (
    ABANDONED,
    ELSEWHERE,
    FOLLOWED,
    NEVER_SENT,
    REPEATED,
    RETRIED,
    SENT_NOTHING,
    SET_OUT,
    SURPLUS,
    UNREAD,
    UNREPORTED,
    WANTS,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadproof.http.messages import Timing
    from loadproof.plan.phases import PhaseSpan


class Counting(RequestListener):
    """Adds to the cells of the current second, in the second and phase of each request's turn."""

    def __init__(self, spans: Sequence[PhaseSpan]) -> None:
        self._spans = spans
        self._second = Second()
        self._in_flight = 0

    def abandoned(self, endpoint: str, due: Due) -> None:
        self._in_flight -= 1
        self._second.abandoned += 1
        self._count(endpoint, due, ABANDONED)

    def sent_nothing(self, endpoint: str, due: Due) -> None:
        self._count(endpoint, due, SENT_NOTHING)

    def set_out(self, kind: str, due: Due) -> None:
        self._count(kind, due, SET_OUT)

    def followed(self, endpoint: str, due: Due) -> None:
        self._second.followed += 1
        self._count(endpoint, due, FOLLOWED)

    def retried(self, endpoint: str, due: Due) -> None:
        self._count(endpoint, due, RETRIED)

    def unsent(self, endpoint: str, want: str, due: Due) -> None:
        self._in_flight -= 1
        self._count(endpoint, due, WANTS[want])

    def dropped(self, endpoint: str, *, intended_s: float, kept: int = 0) -> None:
        second = self._second
        second.dropped += 1
        second.peak_in_flight = max(second.peak_in_flight, self._in_flight + self.yielding + kept)
        self._count(endpoint, Due(intended_s), NEVER_SENT, DROPPED)

    def dropped_group(self, group: str, *, intended_s: float) -> None:
        self._count(group, Due(intended_s), NEVER_SENT, DROPPED)

    def repeated(self, endpoint: str, outcome: Outcome, due: Due) -> None:
        self._count(endpoint, due, REPEATED, outcome)

    def surplus(self, endpoint: str, outcome: Outcome, due: Due) -> None:
        self._count(endpoint, due, SURPLUS, outcome)

    def unread(self, endpoint: str, due: Due, timing: Timing) -> None:
        bucket = bucket_of(round(1e6 * (timing.ended_s - self.start_s - due.at_s)))
        self._count(endpoint, due, UNREAD, Outcome.INVALID, bucket)

    def unreported(self, endpoint: str, due: Due) -> None:
        self._count(endpoint, due, UNREPORTED)

    def elsewhere(self, endpoint: str, due: Due) -> None:
        self._count(endpoint, due, ELSEWHERE)

    def retry_after(self, endpoint: str, became: str, due: Due) -> None:
        self._count(endpoint, due, became, Outcome.THROTTLED)

    def _count(self, endpoint: str, due: Due, series: str, outcome: str = "", bucket: int = 0) -> None:
        """Add one to a counter without moments, in the second and phase of the request's turn."""
        phase = SETUP if due.is_setup else phase_at(self._spans, due.at_s).name
        self._second.cells[max(0, int(due.at_s)), phase, endpoint, outcome, series, bucket] += 1
