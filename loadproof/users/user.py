"""The abstract user: what it sends and checks is its subclass's matter; when, as whom and with what outcome is here."""

from __future__ import annotations

import math
from hashlib import blake2b
from typing import TYPE_CHECKING, ClassVar, Final
from uuid import UUID

from locust import User
from locust.exception import StopUser

from loadproof.api.calls import Call, Reply
from loadproof.http.messages import ConnectionFailedError, Request, RequestTimeoutError, Timing
from loadproof.internals.locust import is_stopping
from loadproof.outcome import Outcome, classify
from loadproof.plan.pacing import Due
from loadproof.rundir.rows import RETRY_MISSING
from loadproof.users.retryafter import Promise, retry_after_s
from loadproof.users.workload import THIS_PROCESS, Post

if TYPE_CHECKING:
    from collections.abc import Callable

    from locust.env import Environment

    from loadproof.plan.clients import Client

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
    post: ClassVar[Post] = THIS_PROCESS

    def __init__(self, environment: Environment, identity: Client | None = None, number: int = 0) -> None:
        """Of several users of one client and endpoint, each has its own `number` and so its own choices."""
        super().__init__(environment)
        self.workload = self.post.workload()
        self.identity = identity or self.workload.next_client(self.endpoint)
        self.random = self.identity.random(f"{self.endpoint}/{number}")
        self.payloads = self.workload.payloads
        self.api = self.workload.api
        self._recorder = self.workload.recorder
        self._connections = self.workload.connections(self.identity, self.host or "")
        self._standing = self.workload.standing(self.identity, self.endpoint)
        self._every_s = self.workload.every_s(self.endpoint)
        self._offset_s = self.random.random() * self._every_s
        self._due = Due(0.0)
        self._has_turns = False
        # What is sent before its first turn, in an on_start say, has none.
        self._due_is_served = True
        # One task for Locust: its own loop costs microseconds a task, and draws from random numbers that other users
        # draw from, too.
        self.tasks = [ApiUser._take_turns]
        self._back_off_s = _FIRST_BACK_OFF_S
        self._not_before_s = -math.inf

    def wait_time(self) -> float:
        """Seconds until this user sends next; Locust asks when the user waits."""
        return min(_IDLE_S, max(0.0, self._due.at_s - self.workload.now_s()))

    def perform(self, due: Due) -> None:
        """Run one task for an arrival of the open model."""
        self._due, self._due_is_served = due, False
        self._choose_task()(self)

    def _take_turns(self) -> None:
        """Task after task at this user's pace, until Locust wants it to stop."""
        if not self._has_turns:
            self._await_first_turn()
        while True:
            try:
                self._choose_task()(self)
            finally:
                # Also after a mistake in the task, which Locust notes: the next turn has its time.
                self._plan_next()
            if self._due.at_s > self.workload.now_s() or is_stopping(self):
                self.wait()

    def _await_first_turn(self) -> None:
        """Begin somewhere in the first pace, so that users who start together don't send together."""
        self._has_turns = True
        first_s = max(0.0, self.workload.now_s()) + self._offset_s
        self._due = Due(first_s - self._every_s)
        self._plan_next()
        self.wait()

    def _plan_next(self) -> None:
        due = self.workload.next_due(self._every_s, previous_s=self._due.at_s, offset_s=self._offset_s)
        self._due = due if due.at_s >= self._not_before_s else Due(self._not_before_s)
        self._due_is_served = False

    def _choose_task(self) -> Callable[[ApiUser], None]:
        tasks: list[Callable[[ApiUser], None]] = type(self).tasks  # type: ignore[assignment]  # no task sets
        return tasks[0] if len(tasks) == 1 else self.random.choice(tasks)

    def new_id(self) -> UUID:
        """An id that no other run has sent to this target, from this client's seeded choices."""
        drawn = self.random.getrandbits(128).to_bytes(16)
        return UUID(bytes=blake2b(drawn, key=self.workload.run_id.encode()[-64:], digest_size=16).digest())

    def send(self, call: Call, check: Callable[[Reply], None]) -> Reply | None:
        """Send, let `check` judge the reply, record exactly one outcome; the reply if it was as expected."""
        due, recorder, timing = self._take_due(), self._recorder, Timing()
        recorder.started(due.burst)
        tested = self._standing.promise and self._standing.take_due(self.workload.monotonic_s())
        try:
            reply, outcome, error = self._exchange(call, check, timing)
        except BaseException:
            recorder.abandoned(self.endpoint, intended_s=due.at_s)
            raise
        if timing.is_repeated:
            recorder.repeated(self.endpoint, outcome, intended_s=due.at_s)
        size = len(reply.answer.received) if reply else 0
        recorder.finished(self.endpoint, call.request.method, outcome, due, timing, size)
        if error is not None or not recorder.feeds_locust:
            self._tell_locust(call.request, reply, error, timing)
        if tested and (became := tested.became(outcome)):
            recorder.retry_after(self.endpoint, intended_s=tested.intended_s, became=became)
        if outcome is Outcome.THROTTLED and reply is not None:
            self._heed(retry_after_s(reply.answer), due, timing.ended_s)
            return None
        self._standing.promise = None
        self._back_off_s = _FIRST_BACK_OFF_S
        if outcome is Outcome.OK:
            return reply
        # A connection can be refused before anything waited: others have their turn first.
        self.post.clock.sleep(0)
        return None

    def _take_due(self) -> Due:
        """The turn that this request serves; a task's second request has no turn and is due when it gets there."""
        due = Due(self.workload.now_s()) if self._due_is_served else self._due
        self._due_is_served = True
        return due

    def _exchange(
        self, call: Call, check: Callable[[Reply], None], timing: Timing
    ) -> tuple[Reply | None, Outcome, Exception | None]:
        try:
            answer = self._connections.exchange(call.request, timing)
            reply = Reply(answer, call.operation, may_be_second=timing.is_repeated)
        except RequestTimeoutError as error:
            return None, Outcome.TIMEOUT, error
        except ConnectionFailedError as error:
            return None, Outcome.CONNECTION, error
        status = reply.answer.status
        try:
            if status not in call.operation.statuses:
                expect(condition=False, reason=f"{self.endpoint}: status {status}")
            check(reply)
        except UnexpectedAnswerError as error:
            unexpected: Exception = error
        except Exception as error:  # noqa: BLE001 - the check reads what it expects, and fails in any way of its own
            unexpected = UnexpectedAnswerError(f"unreadable answer ({type(error).__name__})")
        else:
            return reply, Outcome.OK, None
        outcome = classify(status, as_expected=False, has_retry_after="retry-after" in reply.answer.headers)
        if outcome is not Outcome.INVALID:
            unexpected = UnexpectedAnswerError(f"{outcome}: status {status}")
        return reply, outcome, unexpected

    def _tell_locust(self, request: Request, reply: Reply | None, error: Exception | None, timing: Timing) -> None:
        answer = reply.answer if reply else None
        response_s = timing.ended_s - timing.began_s
        if error is not None:
            self._recorder.failed(self.endpoint, request, answer, error)
        self.environment.events.request.fire(
            request_type=request.method,
            name=self.endpoint,
            response_time=response_s * 1000,
            response_length=len(answer.received) if answer else 0,
            response=answer,
            context=self.context(),
            exception=error,
            start_time=self.post.clock.unix_s() - response_s,
            url=request.path,
        )

    def _heed(self, asked_s: float | None, due: Due, ended_s: float) -> None:
        """Remember what a refusal promised, and do what the scenario says: wait, longer each time; stop; or nothing."""
        if asked_s is None:
            self._recorder.retry_after(self.endpoint, intended_s=due.at_s, became=RETRY_MISSING)
        else:
            self._standing.promise = Promise(ended_s + asked_s, due.at_s)
        match self.workload.scenario.when_throttled:
            case "stop":
                raise StopUser
            case "honour":
                # Jitter on top of what the server asked for: never earlier, and not all at once.
                wait_s = (asked_s or 0.0) + self.random.uniform(0, self._back_off_s)
                self._not_before_s = self.workload.now_s() + wait_s
                self._back_off_s = min(2 * self._back_off_s, _LONGEST_BACK_OFF_S)


def api_users(environment: Environment) -> list[type[ApiUser]]:
    """The API's user classes among all that Locust found."""
    return [cls for cls in environment.user_classes if issubclass(cls, ApiUser)]
