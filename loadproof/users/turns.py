"""A user's life in the closed model, and where its time goes: when it sends, and which turns it could not take."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, Final

from locust import User

from loadproof.internals.locustusers import is_stopping
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
"""Of the pace: a user whose turns last longer may be late again next time, and sends as soon as it is free."""
_MOST_WAITS: Final = 16
"""Apart, of one turn; of more, the earliest are remembered as one."""
_IDLE_S: Final = 3600.0
"""How long a user sleeps that has nothing more to send; the end of the run wakes it."""


class TurnTaker(User):
    """A client that takes a turn at its pace; a subclass sends in it, and reports how long it waited for answers."""

    abstract = True
    endpoint: ClassVar[str]
    """Which kind of user it is, and the name of its requests unless they have names of their own."""
    post: ClassVar[Post] = THIS_PROCESS

    def __init__(self, environment: Environment, identity: Client | None = None, number: int = 0) -> None:
        """If several users share a client and endpoint, each has its own `number` and therefore its own choices."""
        super().__init__(environment)
        self.workload = self.post.workload()
        if identity is None:
            # Whoever is a client again makes choices of its own: the same ids would be the first one's.
            identity, number = self.workload.clients.take(self.endpoint)
        self.identity = identity
        self.random = self.identity.random(f"{self.endpoint}/{number}")
        self._recorder = self.workload.recorder
        self._time = self.workload.recorder.user_time
        self._every_s = self.workload.every_s(self.endpoint)
        self._offset_s = self.random.random() * self._every_s
        self._due = Due(0.0)
        # What is sent before its first turn, such as in an on_start, has none.
        self._due_is_served = True
        self._is_setting_up = True
        self._is_set_up = False
        """It has reached its first turn."""
        self._answering_s = 0.0
        """Seconds of this turn spent waiting for answers; counted once if several were awaited at a time."""
        self._waits: list[tuple[float, float, float]] = []
        """From when to when that was, in monotonic seconds, and how long altogether; in order and apart."""
        self._accounted_s = -math.inf
        """Until when turns have been accounted for, in monotonic seconds: nothing earlier is this turn's."""
        self._thought_s = 0.0
        """Seconds of this turn that its task wanted to pause."""
        self._journey = self.workload.requests_of(self.endpoint)
        """Names of what it may send."""
        self._sent: list[str] = []
        """Names of what this turn has sent."""
        self._groups = self.workload.groups()
        self._has_groups = bool(self._groups.names)
        self._is_in_step = False
        """It took a turn late, like everybody else who waited for the same outage, and has kept to that since."""
        self._held_since_s: float | None = None
        """When the turn that it is waiting for would have been without a Retry-After."""
        self._held_until_s = math.inf
        """When it takes that turn; the next refusal may come before the wait has been counted."""
        self._stopped_s = math.inf
        # One task for Locust: its own loop costs microseconds per task, and draws from random numbers that other users
        # also draw from.
        self.tasks = [TurnTaker._take_turns]
        self._not_before_s = -math.inf
        """Until when it was asked to stay away; infinite: for good."""

    def wait_time(self) -> float:
        """Seconds until this user sends next; Locust calls it when the user waits."""
        return min(_IDLE_S, max(0.0, self._due.at_s - self.workload.now_s()))

    def perform(self, due: Due, task: Callable[[Self], None] | None = None) -> None:
        """Run one task for an arrival of the open model, or this one."""
        self._is_setting_up = False
        self._due = due
        self._waits.clear()
        self._take_turn(task)

    def start(self, group: Group) -> Greenlet:
        """Like Locust's: a life in the closed model, from on_start to on_stop."""
        came_s = self.workload.now_s()
        self._time.came(self.endpoint, came_s)
        self._due = Due(self.workload.first_step(came_s))
        life: Greenlet = super().start(group)
        life.rawlink(self._leave)
        return life

    def _leave(self, _: Greenlet) -> None:
        """Runs on the event loop, whatever ended the user."""
        now_s = self.workload.now_s()
        if not self._is_set_up:
            self._account_setup(now_s)
        elif self._due.at_s < (until_s := min(now_s, self._stopped_s)):
            # Its turn had come, and nothing woke it before its end: the whole process stood still.
            self._time.late(self.endpoint, self._due.at_s, until_s)
        self._end_back_off(now_s)
        if self._not_before_s < math.inf:
            self._time.left(self.endpoint, now_s)
            self.workload.clients.leave(self.endpoint, self.identity)

    def stop(self, force: bool = False) -> bool:
        """Like Locust's; what it is still waiting for no longer keeps it from any turns."""
        self._stopped_s = min(self._stopped_s, self.workload.now_s())
        return bool(super().stop(force))

    def _take_turns(self) -> None:
        """Run task after task at this user's pace, until Locust wants it to stop."""
        if not self._is_set_up:
            # Not again if Locust comes back after an error in a task.
            self._plan_first_turn()
        self._is_setting_up = False
        now_s = self.workload.now_s()
        try:
            while True:
                # A wait may end early, and Locust comes back without one if a task asks for that.
                while self._due.at_s > now_s or is_stopping(self):
                    self.wait()
                    now_s = self.workload.now_s()
                try:
                    self._take_turn()
                finally:
                    # Also after an error in the task, which Locust notes: the next turn has its time.
                    now_s = self.workload.now_s()
                    self._plan_next(now_s)
        except BaseException:
            # Like what on_start sends, what on_stop sends is not in the plan.
            self._is_setting_up = self._due_is_served = True
            raise

    def _take_turn(self, task: Callable[[Self], None] | None = None) -> None:
        """Run one task; what another greenlet sends after it is over belongs to no turn."""
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
        """Our own stop may cut it off."""
        return self._stopped_s < math.inf or self.workload.is_stopping

    def _plan_first_turn(self) -> None:
        """Start at some point of the first pace, so that users who start together don't send together."""
        now_s = self.workload.now_s()
        self._account_setup(now_s)
        # If the target limits its clients, each request of its set-up counts as a turn.
        held_s = len(self._sent) * self._every_s if self.workload.is_limited(self.endpoint) else 0.0
        first_s = self.workload.first_step(now_s) + held_s + self._offset_s
        self._due = Due(first_s - self._every_s)
        self._plan_next(now_s)

    def _plan_next(self, now_s: float) -> None:
        begun_s = self._due.at_s
        if self._held_since_s is not None:
            self._end_back_off(now_s)
        previous_s = begun_s
        if self._is_in_step and now_s < begun_s + _SOON * self._every_s and not self.workload.has_bursts:
            # Answers are quick again: from here on it sends at a moment of its own.
            self._is_in_step = False
            previous_s += self._offset_s
        due = self.workload.next_due(self._every_s, previous_s=previous_s, now_s=now_s, offset_s=self._offset_s)
        if due.late or now_s > begun_s + self._every_s:
            self._is_in_step = True
            self._account_overrun(begun_s, now_s, took_burst=due.late)
            if due.late and not self._was_kept_from(due, begun_s):
                due = due._replace(late=False)
        self._answering_s = self._thought_s = 0.0
        self._waits.clear()
        self._accounted_s = self.workload.start_s + now_s
        self._sent.clear()
        if due.at_s < self._not_before_s:
            # A user that never comes back has skipped all its turns already.
            self._held_since_s = due.at_s if self._not_before_s < math.inf else None
            self._held_until_s = self._not_before_s
            due = self.workload.due_from(self._not_before_s, self._every_s, offset_s=self._offset_s)
        self._due = due

    def _was_kept_from(self, due: Due, begun_s: float) -> bool:
        """Whether answers alone, without pauses and other work of the user's, made it miss the moment of a burst."""
        burst_s = self.workload.bursts_s[(due.burst or 1) - 1]
        return begun_s + self._answering_s > burst_s + BURST_SPREAD_S

    def _account_overrun(self, begun_s: float, now_s: float, *, took_burst: bool) -> None:
        """A turn that lasted into the next.

        Time spent waiting for answers is missed turns, and the rest is our own lateness.
        """
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
            self._time.missed_bursts(self._would_send[0], MISSED, begun_s, until_s, took_last=took_burst)

    def _without_thought(self, own_s: float) -> float:
        """Pauses that leave answers as long as their deadline are planned: what makes such a turn too long is not they.

        Others are to blame for as much as they would have made it too long with answers just in time.
        """
        in_time_s = min(self._answering_s, len(self._sent) * self.workload.habits.deadline_s)
        return min(own_s, max(own_s - self._thought_s, own_s + in_time_s - self._every_s))

    def _account_setup(self, now_s: float) -> None:
        """Its answers delay the first turn, which is not a loss if they arrive within the deadline."""
        self._is_setting_up, self._is_set_up = False, True
        expected_s = self._due.at_s
        until_s, now_s = expected_s + self._answering_s, min(now_s, self._stopped_s)
        self._time.late(self.endpoint, until_s, now_s)
        self._keep_waiting(MISSED, expected_s + self.workload.habits.deadline_s, min(until_s, now_s))

    @property
    def _would_send(self) -> Sequence[str]:
        """At each turn that it missed: as much as at its last, groups included."""
        sent = self._sent or self._journey[:1]
        return [*sent, *self._groups.begun_by(sent)] if self._has_groups else sent

    def _keep_waiting(self, why: str, from_s: float, until_s: float) -> None:
        self._time.kept_waiting(self._would_send, why, from_s, until_s, every_s=self._every_s)

    def _end_back_off(self, now_s: float) -> None:
        """The turns that it skipped as it was asked to."""
        if self._held_since_s is None:
            return
        until_s = min(now_s, self._held_until_s, self._stopped_s)
        self._keep_waiting(BACKED_OFF, self._held_since_s, until_s)
        # A burst may be the turn that it waited for.
        after_s = math.nextafter(self._held_since_s, -math.inf)
        self._time.missed_bursts(self._would_send[0], BACKED_OFF, after_s, until_s, took_last=False)
        self._held_since_s = None

    def _choose_task(self) -> Callable[[Self], None]:
        tasks: list[Callable[[Self], None]] = type(self).tasks  # type: ignore[assignment]  # no task sets
        return tasks[0] if len(tasks) == 1 else self.random.choice(tasks)

    def _take_due(self, endpoint: str, *, is_retry: bool = False) -> Due:
        """The turn that this request serves.

        A journey's second request has no turn and is due when the journey gets to it.
        """
        if not is_retry:
            # A turn that it missed would have had no retries.
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
        """Counted once if several are awaited at a time; they are told in the order in which they end."""
        waits = self._waits
        if began_s < self._accounted_s:
            began_s = self._accounted_s
        while waits and began_s < waits[-1][1]:
            # The usual case has none: a user's next request begins when the one before has ended.
            earlier_s, _, waited_s = waits.pop()
            self._answering_s -= waited_s
            if earlier_s < began_s:
                began_s = earlier_s
        self._answering_s += ended_s - began_s
        waits.append((began_s, ended_s, ended_s - began_s))
        if len(waits) > _MOST_WAITS:
            # A turn may have any number of requests.
            (first_s, _, first), (_, until_s, second) = waits[:2]
            waits[:2] = [(first_s, until_s, first + second)]
