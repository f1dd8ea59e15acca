"""A user's life in the closed model: when it sends, which turns it could not take, and where its time goes."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, ClassVar, Final

from locust import User
from locust.exception import StopUser

from loadproof.internals.locustusers import is_stopping, set_aside
from loadproof.plan.pacing import Due
from loadproof.users.backoff import BackOff
from loadproof.users.missedturns import MissedTurns
from loadproof.users.pacer import Pacer
from loadproof.users.post import THIS_PROCESS, Post
from loadproof.users.turntime import TurnTime

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from gevent import Greenlet
    from gevent.pool import Group
    from locust.env import Environment

    from loadproof.plan.clients import Client

_IDLE_S: Final = 3600.0
"""The longest sleep of a user with nothing more to send; the end of the run wakes it."""


class TurnTaker(User):
    """A client that takes turns at its pace; subclasses send in them, and report how long they waited for answers."""

    abstract = True
    endpoint: ClassVar[str]
    """The kind of user, and the default name of its requests."""
    post: ClassVar[Post] = THIS_PROCESS

    def __init__(self, environment: Environment, identity: Client | None = None, number: int = 0) -> None:
        """Users that share a client and endpoint get different numbers, and so make different random choices."""
        super().__init__(environment)
        self.workload = self.post.workload()
        if identity is None:
            # A later user of the same client gets another number: with the same one it would send the same ids again.
            identity, number = self.workload.clients.take(self.endpoint)
        self.identity = identity
        self.random = self.identity.random(f"{self.endpoint}/{number}")
        self._recorder = self.workload.recorder
        self._time = self.workload.recorder.user_time
        every_s, deadline_s = self.workload.every_s(self.endpoint), self.workload.habits.deadline_s
        self._journey = self.workload.requests_of(self.endpoint)
        """Names of the requests it may send."""
        self._groups = self.workload.groups()
        self._has_groups = bool(self._groups.names)
        self._turn = TurnTime(every_s=every_s, deadline_s=deadline_s)
        self._missed = MissedTurns(self.endpoint, self.workload, self._turn, self._groups)
        self._back_off = BackOff(self._missed)
        offset_s = self.random.random() * every_s
        self._pacer = Pacer(self.workload, self._turn, self._missed, self._back_off, every_s=every_s, offset_s=offset_s)
        self._due_is_served = True
        """A request has been sent for the turn that is due; those before the first turn belong to none."""
        self._is_setting_up = True
        """What it sends is outside the plan: it is in its `on_start` or `on_stop`."""
        self._is_set_up = False
        """It has reached its first turn."""
        self._has_started = False
        """Its `on_start` has ended."""
        self._is_counted = False
        """It is one of the users present."""
        self._is_in_turn = False
        """Its task is running."""
        # A single task for Locust: its own loop costs microseconds per task, and draws from a random generator that all
        # users share.
        self.tasks = [TurnTaker._take_turns]

    def wait_time(self) -> float:
        """Seconds until this user sends next; Locust calls it when the user waits."""
        return min(_IDLE_S, max(0.0, self._pacer.due.at_s - self.workload.now_s()))

    def perform(self, due: Due, task: Callable[[Self], None] | None = None) -> None:
        """Run `task`, or a task chosen at random, for an arrival of the open model."""
        self._is_setting_up = False
        self._pacer.due = due
        self._turn.restart()
        self._take_turn(task)

    def start(self, group: Group) -> Greenlet:
        """Like Locust's: starts the user's life in the closed model, from `on_start` to `on_stop`."""
        came_s = self.workload.now_s()
        self._time.came(self.endpoint, came_s)
        self._is_counted = True
        self._pacer.due = Due(self.workload.first_step(came_s))
        self.on_start = functools.partial(self._set_up, self.on_start)  # type: ignore[method-assign]
        self.on_stop = functools.partial(self._clear_up, self.on_stop)  # type: ignore[method-assign]
        life: Greenlet = super().start(group)
        life.rawlink(self._leave)
        return life

    def _leave(self, _: Greenlet) -> None:
        """Account for the user's last moments; runs on the event loop, however the user ended."""
        now_s = self.workload.now_s()
        if not self._is_set_up:
            self._end_setup(now_s)
        elif self._pacer.due.at_s < (until_s := min(now_s, self._missed.stopped_s)):
            # Its turn was due, but nothing woke it before it ended: the whole process was stalled.
            self._time.late(self.endpoint, self._pacer.due.at_s, until_s)
        self._back_off.end(now_s)
        self._let_go(now_s)
        self.workload.clients.leave(self.endpoint, self.identity)

    def stop(self, force: bool = False) -> bool:
        """Like Locust's; from here on, waiting makes it miss no more turns."""
        self._missed.stopped_s = min(self._missed.stopped_s, self.workload.now_s())
        has_ended = bool(super().stop(force))
        if not has_ended:
            self._let_go(self._missed.stopped_s)
        return has_ended

    def _let_go(self, now_s: float) -> None:
        """It is no longer one of the users present, though it may have to finish its turn, or what `on_stop` does."""
        if self._is_counted:
            self._is_counted = False
            self._time.left(self.endpoint, now_s)
            set_aside(self)

    def _take_turns(self) -> None:
        """Run task after task at this user's pace, until Locust wants it to stop."""
        if not self._is_set_up:
            # Only once: Locust calls this again after an error in a task.
            self._plan_first_turn()
        self._is_setting_up = False
        now_s = self.workload.now_s()
        try:
            while True:
                # A wait may end early, and Locust skips it if a task asks to be rescheduled at once.
                while self._pacer.due.at_s > now_s or is_stopping(self):
                    self.wait()
                    now_s = self.workload.now_s()
                try:
                    self._take_turn()
                except StopUser:
                    if not self._back_off.is_for_good:
                        raise
                finally:
                    # Also after an error in the task, which Locust reports: the next turn still comes on time.
                    now_s = self.workload.now_s()
                    self._pacer.plan_next(now_s)
        except BaseException:
            # What `on_stop` sends is outside the plan, like what `on_start` sends.
            self._is_setting_up = self._due_is_served = True
            raise

    def _set_up(self, on_start: Callable[[], None]) -> None:
        try:
            on_start()
        except StopUser:
            if not self._back_off.is_for_good:
                raise
        finally:
            self._has_started = True

    def _clear_up(self, on_stop: Callable[[], None]) -> None:
        if self._is_setting_up and self._has_started:
            # Otherwise its own code has called it, in its `on_start` or in the middle of a turn.
            self._let_go(self.workload.now_s())
        on_stop()

    def _take_turn(self, task: Callable[[Self], None] | None = None) -> None:
        """Run one task; requests that other greenlets send after it has ended belong to no turn."""
        self._due_is_served = False
        self._turn.sent.clear()
        self._is_in_turn = True
        try:
            (task or self._choose_task())(self)
        finally:
            self._is_in_turn, self._due_is_served = False, True
            if self._has_groups:
                if self._is_to_end:
                    self._groups.forget()
                else:
                    self._groups.leave(self.workload.monotonic_s())
            if not (self._turn.sent or self._is_to_end):
                self._recorder.sent_nothing(self.endpoint, self._pacer.due)

    @property
    def _is_to_end(self) -> bool:
        """Whether our own stop may cut it off."""
        return self._missed.stopped_s < math.inf or self.workload.is_stopping

    def _plan_first_turn(self) -> None:
        now_s, sent = self.workload.now_s(), len(self._turn.sent)
        self._end_setup(now_s)
        # If the target limits its clients, each request of the setup counts as a turn.
        held_s = sent * self._pacer.every_s if self.workload.is_limited(self.endpoint) else 0.0
        self._pacer.plan_first(now_s, held_s=held_s)

    def _end_setup(self, now_s: float) -> None:
        self._is_setting_up, self._is_set_up = False, True
        self._missed.account_setup(self._pacer.due.at_s, now_s)

    def _give_up(self) -> None:
        """Take no more turns, but stay one of the users present."""
        if self._is_setting_up:
            # No turn would have sent these.
            self._turn.sent.clear()
        now_s = self.workload.now_s()
        self._back_off.give_up(now_s, stays_until_s=self.workload.stays_until(now_s))

    def _choose_task(self) -> Callable[[Self], None]:
        tasks: list[Callable[[Self], None]] = type(self).tasks  # type: ignore[assignment]  # no task sets
        return tasks[0] if len(tasks) == 1 else self.random.choice(tasks)

    def _take_due(self, endpoint: str, *, is_retry: bool = False) -> Due:
        """The turn that this request serves; later requests of a journey have none, and are due when they are sent."""
        if not is_retry and (self._is_in_turn or not self._is_set_up):
            # A missed turn counts as its latest one, without retries, and without what is sent between turns or after.
            self._turn.sent.append(endpoint)
        if not self._due_is_served:
            self._due_is_served = True
            if endpoint != self.endpoint:
                self._recorder.set_out(self.endpoint, self._pacer.due)
            return self._pacer.due
        due = Due(self.workload.now_s(), is_setup=self._is_setting_up)
        if not due.is_setup:
            self._recorder.followed(endpoint, due)
            if is_retry:
                self._recorder.retried(endpoint, due)
        return due
