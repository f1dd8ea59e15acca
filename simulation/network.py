"""A target in simulated time that logs the requests it gets and the outcome that each should be counted as."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from loadproof.http.answers import Answer
from loadproof.http.messages import ConnectionFailedError, RequestTimeoutError
from loadproof.outcome import Outcome

if TYPE_CHECKING:
    from loadproof.http.messages import Request, Timing
    from simulation.clock import FakeClock, FakeTime
    from simulation.schedules import Schedule

_ANSWER_S: Final = 0.01
_WRONG: Final = (
    (500, Outcome.SERVER_ERROR),
    (404, Outcome.INVALID),
    (429, Outcome.THROTTLED),
    (403, Outcome.REJECTED),
    (0, Outcome.CONNECTION),
)
"""Statuses and their outcomes; status 0: no answer at all."""


@dataclass
class LoggedRequest:
    """One request that a process sent."""

    process: int
    endpoint: str
    outcome: Outcome | None = None
    """None: the sender has not received an answer yet."""


class Target:
    """Answers according to the schedule, and logs each request with its sender, endpoint and outcome."""

    def __init__(self, time: FakeTime, schedule: Schedule) -> None:
        self._time = time
        self._schedule = schedule
        self._total_s = schedule.plan.timeouts.total
        self._dice = random.Random(f"target {schedule.seed}")
        self.log: list[LoggedRequest] = []

    def counts(self) -> Counter[tuple[str, Outcome]]:
        """Number of answered requests by endpoint and outcome."""
        return Counter((request.endpoint, request.outcome) for request in self.log if request.outcome is not None)

    def connect(self, process: int, clock: FakeClock) -> Connected:
        return Connected(self, process, clock)

    def meet(self, request: LoggedRequest, clock: FakeClock) -> int:
        """Wait for the answer on the sender's clock; returns the status, or raises TransportError if there is none."""
        status, outcome = self._answer()
        answer_s = self._answer_s()
        clock.sleep(min(answer_s, self._total_s))
        if answer_s > self._total_s:
            request.outcome = Outcome.TIMEOUT
            raise RequestTimeoutError("no complete answer")
        request.outcome = outcome
        if not status:
            raise ConnectionFailedError("reset")
        return status

    def _answer(self) -> tuple[int, Outcome]:
        now_s = self._time.now_s
        if any(fault.at_s <= now_s for fault in self._schedule.of("target")):
            return 0, Outcome.CONNECTION
        for fault in self._schedule.of("failing"):
            if fault.at_s <= now_s and self._dice.random() < fault.size:
                return self._dice.choice(_WRONG)
        return 200, Outcome.OK

    def _answer_s(self) -> float:
        now_s, answer_s = self._time.now_s, _ANSWER_S
        for fault in self._schedule.of("slow"):
            if fault.at_s <= now_s:
                answer_s = fault.size
        for fault in self._schedule.of("standing"):
            if fault.at_s <= now_s < fault.at_s + fault.size:
                answer_s += fault.at_s + fault.size - now_s
        return answer_s


class Connected:
    """One process's connection to the target; implements `loadproof.http.client.Exchanging`."""

    origin: Any = None

    def __init__(self, target: Target, process: int, clock: FakeClock) -> None:
        self._target = target
        self._process = process
        self._clock = clock

    def exchange(self, request: Request, timing: Timing) -> Answer:
        logged = LoggedRequest(self._process, request.path.split("/")[1])
        self._target.log.append(logged)
        timing.began_s = timing.sent_s = self._clock.now_s()
        try:
            return Answer(self._target.meet(logged, self._clock), {})
        finally:
            timing.ended_s = self._clock.now_s()
