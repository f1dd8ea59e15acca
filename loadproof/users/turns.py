"""A user's life in the closed model: when it sends, which turns it could not take, and where its time goes."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, ClassVar, Final

from locust import User
from locust.exception import StopUser

from loadproof.internals.locustusers import is_stopping, set_aside
from loadproof.outcome import BACKED_OFF, MISSED
from loadproof.plan.pacing import BURST_SPREAD_S, Due
from loadproof.users.post import THIS_PROCESS, Post

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Self

    from gevent import Greenlet
    from gevent.pool import Group
    from locust.env import Environment

    from loadproof.plan.clients import Client

_SOON: Final = 0.5
"""As a share of the pace: a user whose turns last longer may be late again, so it still sends as soon as it is free."""
_MOST_WAITS: Final = 16
"""Separate waits remembered per turn; beyond that, the earliest two are merged."""
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
        self._every_s = self.workload.every_s(self.endpoint)
        self._offset_s = self.random.random() * self._every_s
        self._due = Due(0.0)
        # Requests before the first turn, such as in `on_start`, belong to no turn.
        self._due_is_served = True
        self._is_setting_up = True
        self._is_counted = False
        """It is one of the users present."""
        self._is_set_up = False
        """It has reached its first turn."""
        self._answering_s = 0.0
        """Seconds of this turn spent waiting for answers; concurrent waits are counted once."""
        self._waits: list[tuple[float, float, float]] = []
        """Start and end of each wait, in monotonic seconds, and the time waited in between; in order, no overlaps."""
        self._accounted_s = -math.inf
        """Turns have been accounted for until here, in monotonic seconds: earlier waits don't belong to this turn."""
        self._thought_s = 0.0
        """Seconds of this turn that its task asked to pause."""
        self._journey = self.workload.requests_of(self.endpoint)
        """Names of the requests it may send."""
        self._sent: list[str] = []
        """Names of the requests sent in this turn, without retries."""
        self._groups = self.workload.groups()
        self._has_groups = bool(self._groups.names)
        self._is_in_step = False
        """It took a turn late, as did all users held up by the same outage, and has been in step with them since."""
        self._held_since_s: float | None = None
        """When its next turn was due before it had to back off; None if it isn't backing off."""
        self._held_until_s = math.inf
        """When that back-off ends; kept here because another refusal may come before the wait has been counted."""
        self._stopped_s = math.inf
        # A single task for Locust: its own loop costs microseconds per task, and draws from a random generator that all
        # users share.
        self.tasks = [TurnTaker._take_turns]
        self._not_before_s = -math.inf
        """The target asked it to stay away until then; infinite: for good."""

    def wait_time(self) -> float:
        """Seconds until this user sends next; Locust calls it when the user waits."""
        return min(_IDLE_S, max(0.0, self._due.at_s - self.workload.now_s()))

    def perform(self, due: Due, task: Callable[[Self], None] | None = None) -> None:
        """Run `task`, or a task chosen at random, for an arrival of the open model."""
        self._is_setting_up = False
        self._due = due
        self._answering_s = 0.0
        self._waits.clear()
        self._take_turn(task)

    def start(self, group: Group) -> Greenlet:
        """Like Locust's: starts the user's life in the closed model, from `on_start` to `on_stop`."""
        came_s = self.workload.now_s()
        self._time.came(self.endpoint, came_s)
        self._is_counted = True
        self._due = Due(self.workload.first_step(came_s))
        self.on_start = functools.partial(self._set_up, self.on_start)  # type: ignore[method-assign]
        self.on_stop = functools.partial(self._clear_up, self.on_stop)  # type: ignore[method-assign]
        life: Greenlet = super().start(group)
        life.rawlink(self._leave)
        return life

    def _leave(self, _: Greenlet) -> None:
        """Account for the user's last moments; runs on the event loop, however the user ended."""
        now_s = self.workload.now_s()
        if not self._is_set_up:
            self._account_setup(now_s)
        elif self._due.at_s < (until_s := min(now_s, self._stopped_s)):
            # Its turn was due, but nothing woke it before it ended: the whole process was stalled.
            self._time.late(self.endpoint, self._due.at_s, until_s)
        self._end_back_off(now_s)
        self._let_go(now_s)
        self.workload.clients.leave(self.endpoint, self.identity)

    def stop(self, force: bool = False) -> bool:
        """Like Locust's; from here on, waiting makes it miss no more turns."""
        self._stopped_s = min(self._stopped_s, self.workload.now_s())
        has_ended = bool(super().stop(force))
        if not has_ended:
            self._let_go(self._stopped_s)
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
                while self._due.at_s > now_s or is_stopping(self):
                    self.wait()
                    now_s = self.workload.now_s()
                try:
                    self._take_turn()
                except StopUser:
                    if not self._has_given_up:
                        raise
                finally:
                    # Also after an error in the task, which Locust reports: the next turn still comes on time.
                    now_s = self.workload.now_s()
                    self._plan_next(now_s)
        except BaseException:
            # What `on_stop` sends is outside the plan, like what `on_start` sends.
            self._is_setting_up = self._due_is_served = True
            raise

    def _set_up(self, on_start: Callable[[], None]) -> None:
        try:
            on_start()
        except StopUser:
            if not self._has_given_up:
                raise

    def _clear_up(self, on_stop: Callable[[], None]) -> None:
        if self._is_setting_up:
            # Otherwise its own code has called it in the middle of a turn.
            self._let_go(self.workload.now_s())
        on_stop()

    @property
    def _has_given_up(self) -> bool:
        """It was refused, and stops for good: it stays, without turns, because Locust would replace it."""
        return self._not_before_s == math.inf

    def _take_turn(self, task: Callable[[Self], None] | None = None) -> None:
        """Run one task; requests that other greenlets send after it has ended belong to no turn."""
        self._due_is_served = False
        self._sent.clear()
        try:
            (task or self._choose_task())(self)
        finally:
            self._due_is_served = True
            if self._is_to_end:
                self._groups.forget()
            elif self._has_groups:
                self._groups.leave(self.workload.monotonic_s())
            if not (self._sent or self._is_to_end):
                self._recorder.sent_nothing(self.endpoint, self._due)

    @property
    def _is_to_end(self) -> bool:
        """Whether our own stop may cut it off."""
        return self._stopped_s < math.inf or self.workload.is_stopping

    def _plan_first_turn(self) -> None:
        """Start at a random point within the first pace, so that users who start together don't send together."""
        now_s, asked = self.workload.now_s(), len(self._sent)
        self._account_setup(now_s)
        # If the target limits its clients, each request of the setup counts as a turn.
        held_s = asked * self._every_s if self.workload.is_limited(self.endpoint) else 0.0
        first_s = self.workload.first_step(now_s) + held_s + self._offset_s
        self._due = Due(first_s - self._every_s)
        self._plan_next(now_s)

    def _plan_next(self, now_s: float) -> None:
        begun_s = self._due.at_s
        if self._held_since_s is not None and not self._has_given_up:
            self._end_back_off(now_s)
        previous_s = begun_s
        if self._is_in_step and now_s < begun_s + _SOON * self._every_s and not self.workload.has_bursts:
            # Answers are quick again: move it out of step with the others.
            self._is_in_step = False
            previous_s += self._offset_s
        due = self.workload.next_due(self._every_s, previous_s=previous_s, now_s=now_s, offset_s=self._offset_s)
        if due.late or now_s > begun_s + self._every_s:
            self._is_in_step = True
            # A burst that it may not take yet is missed: the target told it too late to wait.
            self._account_overrun(begun_s, now_s, took_burst=due.late and due.at_s >= self._not_before_s)
            if due.late and not self._was_kept_from(due, begun_s, now_s):
                due = due._replace(late=False)
        self._answering_s = self._thought_s = 0.0
        self._waits.clear()
        self._accounted_s = self.workload.start_s + now_s
        if not self._has_given_up:
            self._sent.clear()
        if due.at_s < self._not_before_s:
            if not self._has_given_up:
                self._held_since_s, self._held_until_s = due.at_s, self._not_before_s
            due = self.workload.due_from(self._not_before_s, self._every_s, offset_s=self._offset_s)
        self._due = due

    def _was_kept_from(self, due: Due, begun_s: float, now_s: float) -> bool:
        """Whether answers made it miss the moment of a burst.

        Either they took that long without the user's pauses and other work, or with these there would have been enough
        time for answers that meet their deadline.
        """
        latest_s = self.workload.bursts_s[(due.burst or 1) - 1] + BURST_SPREAD_S
        own_s = now_s - begun_s - self._answering_s
        return begun_s + self._answering_s > latest_s or now_s > latest_s >= begun_s + own_s + self._in_time_s

    def _account_overrun(self, begun_s: float, now_s: float, *, took_burst: bool) -> None:
        """Account for a turn that ran into the next: waiting for answers is missed turns, the rest our own lateness."""
        until_s = now_s if now_s < self._stopped_s else self._stopped_s
        free_s = begun_s + self._every_s
        own_s = now_s - begun_s - self._answering_s
        if self._thought_s:
            own_s = self._without_thought(own_s)
        if own_s > until_s - free_s:
            own_s = until_s - free_s
        if own_s < 0:
            own_s = 0.0
        self._time.overran(self.endpoint, self._would_send, free_s, until_s - own_s, until_s, self._every_s)
        if self.workload.has_bursts:
            self._miss_bursts(MISSED, begun_s, until_s, took_last=took_burst)

    def _without_thought(self, own_s: float) -> float:
        """The user's own share of an overrun, without the pauses that are not to blame.

        Pauses that leave answers enough time to meet their deadline are planned and don't count. Longer ones count as
        far as the turn would have been too long even with answers just in time.
        """
        return min(own_s, max(own_s - self._thought_s, own_s + self._in_time_s - self._every_s))

    @property
    def _in_time_s(self) -> float:
        """How long this turn's answers would have taken if each had met its deadline."""
        return min(self._answering_s, len(self._sent) * self.workload.habits.deadline_s)

    def _account_setup(self, now_s: float) -> None:
        """Account for the setup: answers delay the first turn, but cost no turns if they arrive within the deadline."""
        self._is_setting_up, self._is_set_up = False, True
        # Its requests belong to no turn, so missed turns aren't like them.
        self._sent.clear()
        expected_s = self._due.at_s
        until_s, now_s = expected_s + self._answering_s, min(now_s, self._stopped_s)
        self._time.late(self.endpoint, until_s, now_s)
        self._keep_waiting(MISSED, expected_s + self.workload.habits.deadline_s, min(until_s, now_s))

    @property
    def _would_send(self) -> Sequence[str]:
        """What it would have sent at each missed turn: as much as at its last one, groups included."""
        sent = self._sent or self._journey[:1]
        return [*sent, *self._groups.begun_by(sent)] if self._has_groups else sent

    def _keep_waiting(self, why: str, from_s: float, until_s: float) -> None:
        self._time.kept_waiting(self._would_send, why, from_s, until_s, every_s=self._every_s)

    def _give_up(self) -> None:
        """Take no more turns. Those until the number of users falls are skipped for certain, later ones if it stays."""
        now_s = self.workload.now_s()
        if self._is_setting_up:
            # No turn would have sent these.
            self._sent.clear()
        self._held_since_s, self._not_before_s = now_s, math.inf
        stays_until_s = self.workload.stays_until(now_s)
        self._end_back_off(stays_until_s)
        self._held_since_s = stays_until_s

    def _end_back_off(self, now_s: float) -> None:
        """Account for the turns it skipped because it was asked to back off."""
        if self._held_since_s is None:
            return
        until_s = min(now_s, self._held_until_s, self._stopped_s)
        self._keep_waiting(BACKED_OFF, self._held_since_s, until_s)
        # The skipped turn may itself be a burst.
        after_s = math.nextafter(self._held_since_s, -math.inf)
        self._miss_bursts(BACKED_OFF, after_s, until_s, took_last=False)
        self._held_since_s = None

    def _miss_bursts(self, why: str, after_s: float, until_s: float, *, took_last: bool) -> None:
        """Each weighs as much as a turn."""
        for name in self._would_send:
            self._time.missed_bursts(name, why, after_s, until_s, took_last=took_last)

    def _choose_task(self) -> Callable[[Self], None]:
        tasks: list[Callable[[Self], None]] = type(self).tasks  # type: ignore[assignment]  # no task sets
        return tasks[0] if len(tasks) == 1 else self.random.choice(tasks)

    def _take_due(self, endpoint: str, *, is_retry: bool = False) -> Due:
        """The turn that this request serves; later requests of a journey have none, and are due when they are sent."""
        if not is_retry:
            # A missed turn counts without retries.
            self._sent.append(endpoint)
        if not self._due_is_served:
            self._due_is_served = True
            if endpoint != self.endpoint:
                self._recorder.set_out(self.endpoint, self._due)
            return self._due
        due = Due(self.workload.now_s(), is_setup=self._is_setting_up)
        if not due.is_setup:
            self._recorder.followed(endpoint, due)
            if is_retry:
                self._recorder.retried(endpoint, due)
        return due

    def _count_answering(self, began_s: float, ended_s: float) -> None:
        """Add a wait, in monotonic seconds; concurrent waits are counted once, and must be added as they end."""
        waits = self._waits
        if began_s < self._accounted_s:
            began_s = self._accounted_s
        while waits and began_s < waits[-1][1]:
            # Rarely runs: a user's next request usually begins after the previous one has ended.
            earlier_s, _, waited_s = waits.pop()
            self._answering_s -= waited_s
            if earlier_s < began_s:
                began_s = earlier_s
        self._answering_s += ended_s - began_s
        waits.append((began_s, ended_s, ended_s - began_s))
        if len(waits) > _MOST_WAITS:
            # A turn may have any number of requests: keep the list short.
            (first_s, _, first), (_, until_s, second) = waits[:2]
            waits[:2] = [(first_s, until_s, first + second)]
