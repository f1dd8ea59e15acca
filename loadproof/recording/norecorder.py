"""A Recorder that records nothing, where there is no run directory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadproof.recording.usertime import UserTime

if TYPE_CHECKING:
    from loadproof.http.answers import Answer
    from loadproof.http.messages import Request, Timing
    from loadproof.outcome import Outcome
    from loadproof.plan.pacing import Due
    from loadproof.recording.journalrows import EndedRequest


class NoRecorder:
    """For plain `locust -f locustfiles`, and a dry run."""

    in_flight = 0
    feeds_locust = False
    only_counts = False
    journals = False
    start_s = 0.0
    user_time = UserTime(())
    yielding = 0

    def started(self, burst: int | None = None) -> None:
        pass

    def finished(self, endpoint: str, method: str, outcome: Outcome, due: Due, timing: Timing, body_bytes: int) -> None:
        pass

    def grouped(self, group: str, outcome: Outcome, due: Due, *, began_s: float, sent_s: float, ended_s: float) -> None:
        pass

    def ended(self, request: EndedRequest) -> None:
        pass

    def failed(self, endpoint: str, request: Request, answer: Answer | None, error: Exception) -> None:
        pass

    def abandoned(self, endpoint: str, due: Due) -> None:
        pass

    def sent_nothing(self, endpoint: str, due: Due) -> None:
        pass

    def set_out(self, kind: str, due: Due) -> None:
        pass

    def followed(self, endpoint: str, due: Due) -> None:
        pass

    def retried(self, endpoint: str, due: Due) -> None:
        pass

    def unsent(self, endpoint: str, want: str, due: Due) -> None:
        pass

    def dropped(self, endpoint: str, *, intended_s: float) -> None:
        pass

    def dropped_group(self, group: str, *, intended_s: float) -> None:
        pass

    def repeated(self, endpoint: str, outcome: Outcome, due: Due) -> None:
        pass

    def surplus(self, endpoint: str, outcome: Outcome, due: Due) -> None:
        pass

    def unread(self, endpoint: str, due: Due, timing: Timing) -> None:
        pass

    def retry_after(self, endpoint: str, *, intended_s: float, became: str) -> None:
        pass
