"""What those who send requests tell about them; a plain listener remembers nothing of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadproof.recording.usertime import UserTime

if TYPE_CHECKING:
    from loadproof.http.messages import Request, Timing
    from loadproof.outcome import Outcome
    from loadproof.plan.pacing import Due
    from loadproof.recording.examples import AnyAnswer
    from loadproof.recording.journalrows import EndedRequest


class RequestListener:
    """For plain `locust -f locustfiles` and a dry run, which have no run directory; a Recorder writes one.

    Every request started ends in exactly one of `finished`, `unsent` and `abandoned`. A `due` is in seconds from the
    run's start, moments are monotonic.
    """

    feeds_locust = False
    """Locust's statistics get successful requests from here, without an event for each."""
    only_counts = False
    """A successful request only needs a call of `finished`."""
    journals = False
    """Senders also call `ended` for each request."""
    start_s = 0.0
    """Second 0 of the run, in monotonic seconds."""
    user_time = UserTime(())
    yielding = 0
    """Users that have their answer but let others run before they continue: they are not free yet."""
    pausing = 0
    """Users that think in the middle of a journey."""

    @property
    def in_flight(self) -> int:
        """Our own requests in flight, to wait for at the end; other clients' users go on until they are stopped."""
        return 0

    def started(self, burst: int | None = None) -> None:
        """A request was started."""

    def finished(self, endpoint: str, method: str, outcome: Outcome, due: Due, timing: Timing, body_bytes: int) -> None:
        """The answer's last byte arrived, or the request failed. `due` is in seconds from the run's start."""

    def grouped(self, group: str, outcome: Outcome, due: Due, *, began_s: float, sent_s: float, ended_s: float) -> None:
        """A group of requests, each recorded separately, has ended with this outcome; times are monotonic."""

    def ended(self, request: EndedRequest) -> None:
        """Journal how a request ended; called in addition to the method that counts it, without yielding in between."""

    def failed(self, endpoint: str, request: Request, answer: AnyAnswer | None, error: BaseException) -> None:
        """Keep an example of this kind of error; called in addition to `finished`."""

    def abandoned(self, endpoint: str, due: Due) -> None:
        """Our own stop cut off the request."""

    def sent_nothing(self, endpoint: str, due: Due) -> None:
        """The task that had this turn ended without sending a request."""

    def set_out(self, kind: str, due: Due) -> None:
        """A journey of this kind of user begins with a request of another name."""

    def followed(self, endpoint: str, due: Due) -> None:
        """A request that is not the first of its turn begins: it doesn't count as a turn or arrival."""

    def retried(self, endpoint: str, due: Due) -> None:
        """A request is retried after a failure; called in addition to `followed`."""

    def unsent(self, endpoint: str, want: str, due: Due) -> None:
        """A request was started, but this machine lacked the means to send it; `want` is a key of rundir's WANTS."""

    def dropped(self, endpoint: str, *, intended_s: float, kept: int = 0) -> None:
        """An arrival found no free user and was never sent.

        Because of the target's late answers, `kept` users without a request in flight weren't free either.
        """

    def dropped_group(self, group: str, *, intended_s: float) -> None:
        """A group that the dropped arrival would have begun; called in addition to `dropped`."""

    def repeated(self, endpoint: str, outcome: Outcome, due: Due) -> None:
        """The transport sent the request a second time, and it ended with this outcome."""

    def surplus(self, endpoint: str, outcome: Outcome, due: Due) -> None:
        """Unrequested bytes followed its answer, or the previous answer, and ended the connection."""

    def unread(self, endpoint: str, due: Due, timing: Timing) -> None:
        """Loadproof can't read this kind of answer, which counts as invalid; recorded with its response time."""

    def unreported(self, endpoint: str, due: Due) -> None:
        """A client that isn't ours sent it and got an answer, but never reported an outcome."""

    def elsewhere(self, endpoint: str, due: Due) -> None:
        """The request went to another host than the target; called in addition to what records its outcome."""

    def retry_after(self, endpoint: str, became: str, due: Due) -> None:
        """Whether a refusal's Retry-After was kept: `became` is one of rundir's four counters, `due` the refusal's."""
