"""The abstract user: what it sends and checks is its subclass's matter; when, as whom and with what outcome is here."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, ClassVar, Final

from locust import User
from locust.exception import StopUser

from loadproof.api import Call, Reply
from loadproof.outcome import Outcome, classify
from loadproof.plan import Due
from loadproof.transport import Answer, ConnectionFailedError, Request, RequestTimeoutError, Timing
from loadproof.workload import workload

if TYPE_CHECKING:
    from collections.abc import Callable

    from locust.env import Environment

    from loadproof.clients import Client

_FIRST_BACK_OFF_S: Final = 1.0
_LONGEST_BACK_OFF_S: Final = 60.0
_IDLE_S: Final = 3600.0
"""How long a user sleeps who has nothing more to send; the end of the run wakes it."""


class UnexpectedAnswerError(Exception):
    """Not what this user expects; the text is a reason without values, so that equal ones add up."""


def expect(condition: object, reason: str) -> None:
    """Raise UnexpectedAnswerError unless the condition holds."""
    if not condition:
        raise UnexpectedAnswerError(reason)


class ApiUser(User):
    """One client who sends one kind of request at its pace, checks each answer, and backs off when throttled.

    A subclass names its `endpoint` and has tasks that call `send`.
    """

    abstract = True
    endpoint: ClassVar[str]

    def __init__(self, environment: Environment, identity: Client | None = None) -> None:
        super().__init__(environment)
        self.workload = workload()
        self.identity = identity or self.workload.next_client(self.endpoint)
        self.random = self.identity.random
        self.payloads = self.workload.payloads
        self.api = self.workload.api
        self._connections = self.workload.connections(self.identity, self.host or "")
        self._identity_headers = self.workload.identity_headers(self.identity)
        self._offset_s = self.random.random() * self.workload.every_s(self.endpoint)
        self._due = Due(0.0)
        self._due_is_served = False
        self._back_off_s = _FIRST_BACK_OFF_S
        self._not_before_s = -math.inf

    def on_start(self) -> None:
        """Begin somewhere in the first pace, so that users who start together don't send together."""
        first_s = max(0.0, self.workload.now_s()) + self._offset_s
        self._due = Due(first_s - self.workload.every_s(self.endpoint))
        self.wait()

    def wait_time(self) -> float:
        """Seconds until this user sends next, and what; Locust asks after each task."""
        # Locust would choose by the process's random numbers, which other users draw from too.
        self.tasks = [self.random.choice(type(self).tasks)]
        due = self.workload.next_due(self.endpoint, previous_s=self._due.at_s, offset_s=self._offset_s)
        self._due = due if due.at_s >= self._not_before_s else Due(self._not_before_s)
        self._due_is_served = False
        return min(_IDLE_S, max(0.0, self._due.at_s - self.workload.now_s()))

    def perform(self, due: Due) -> None:
        """Run one task for an arrival of the open model."""
        self._due, self._due_is_served = due, False
        chosen: Any = self.random.choice(type(self).tasks)
        chosen(self)

    def send(self, call: Call, check: Callable[[Reply], None]) -> Reply | None:
        """Send, let `check` judge the reply, record exactly one outcome; the reply if it was as expected."""
        due, recorder, timing = self._take_due(), self.workload.recorder, Timing()
        recorder.started(due.burst)
        try:
            outcome, answer, error = self._exchange(call, check, timing)
        except BaseException:
            recorder.abandoned(self.endpoint, intended_s=due.at_s)
            raise
        ended_s = time.monotonic()
        since_start_s = self.workload.since_start_s
        recorder.finished(
            self.endpoint,
            outcome,
            due=due,
            sent_s=since_start_s(timing.sent_s),
            ended_s=since_start_s(ended_s),
        )
        self._tell_locust(call.request, answer, error, ended_s - timing.sent_s + timing.connect_s)
        self._heed(outcome, answer)
        return Reply(answer, call.operation) if answer and outcome is Outcome.OK else None

    def _take_due(self) -> Due:
        """The turn that this request serves; a task's second request has no turn and is due when it gets there."""
        due = Due(self.workload.now_s()) if self._due_is_served else self._due
        self._due_is_served = True
        return due

    def _exchange(
        self, call: Call, check: Callable[[Reply], None], timing: Timing
    ) -> tuple[Outcome, Answer | None, Exception | None]:
        request = call.request
        if self._identity_headers:
            request = replace(request, headers={**request.headers, **self._identity_headers})
        try:
            answer = self._connections.exchange(request, timing)
        except RequestTimeoutError as error:
            return Outcome.TIMEOUT, None, error
        except ConnectionFailedError as error:
            return Outcome.CONNECTION, None, error
        try:
            expect(answer.status in call.operation.statuses, f"{self.endpoint}: status {answer.status}")
            check(Reply(answer, call.operation))
        except UnexpectedAnswerError as error:
            unexpected: Exception = error
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            # The check reads what it expects; a body of another shape fails it in its own way.
            unexpected = UnexpectedAnswerError(f"unreadable answer ({type(error).__name__})")
        else:
            return Outcome.OK, answer, None
        outcome = classify(answer.status, as_expected=False, has_retry_after="retry-after" in answer.headers)
        if outcome is not Outcome.INVALID:
            unexpected = UnexpectedAnswerError(f"{outcome}: status {answer.status}")
        return outcome, answer, unexpected

    def _tell_locust(self, request: Request, answer: Answer | None, error: Exception | None, response_s: float) -> None:
        self.environment.events.request.fire(
            request_type=request.method,
            name=self.endpoint,
            response_time=response_s * 1000,
            response_length=len(answer.body) if answer else 0,
            response=answer,
            context=self.context(),
            exception=error,
            start_time=time.time() - response_s,
            url=request.path,
        )

    def _heed(self, outcome: Outcome, answer: Answer | None) -> None:
        """Do what the scenario says when throttled: wait, longer each time; stop; or nothing."""
        if outcome is not Outcome.THROTTLED or answer is None:
            self._back_off_s = _FIRST_BACK_OFF_S
            return
        match self.workload.scenario.when_throttled:
            case "stop":
                raise StopUser
            case "honour":
                # Jitter on top of what the server asked for: never earlier, and not all at once.
                wait_s = retry_after_s(answer) + self.random.uniform(0, self._back_off_s)
                self._not_before_s = self.workload.now_s() + wait_s
                self._back_off_s = min(2 * self._back_off_s, _LONGEST_BACK_OFF_S)


def api_users(environment: Environment) -> list[type[ApiUser]]:
    """The API's user classes among all that Locust found."""
    return [cls for cls in environment.user_classes if issubclass(cls, ApiUser)]


def retry_after_s(answer: Answer) -> float:
    """Seconds that Retry-After asks for, as a number or as a date; 0 where it says nothing readable.

    Source: RFC 9110, section 10.2.3.
    """
    text = answer.headers.get("retry-after", "")
    if text.isdecimal():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return 0.0
