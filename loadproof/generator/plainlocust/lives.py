"""What is known about a plain user, one written for plain Locust: where its time goes, and what it is waiting for."""

from __future__ import annotations

import functools
import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from loadproof.outcome import MISSED

if TYPE_CHECKING:
    from collections.abc import Callable

    from greenlet import greenlet
    from locust import User

    from loadproof.generator.plainlocust.paces import Wait
    from loadproof.recording.usertime import UserTime


EARLY_S: Final = 0.001
"""By up to this much, a time from the wall clock may seem earlier than one it followed."""


@dataclass(eq=False)
class Life:
    """One user, from its first step on. Times are seconds from the run's start."""

    user: User
    greenlet: greenlet
    kind: str
    pace_s: float | None
    """Seconds from one task to the next, if its `wait_time` is a pace."""
    due_s: float
    """When its current task was due; before the first task, when the user was."""
    waited: Wait | None = None
    """A paced user's last wait before this task."""
    set_up_s: float = math.inf
    """When its setup ended, with its first task."""
    leaves_s: float = math.inf
    """When its `on_stop` began."""
    gone_s: float = math.inf
    """When it was told to leave, or began to: it is no longer one of the users present, though it may still work."""
    is_in_turn: bool = False
    """One of its tasks is running."""
    has_sent: bool = False
    """It has sent something in this task."""
    sent: list[str] = field(default_factory=list)
    """Names of the requests sent in this task, or else in the last one."""
    answering_s: float = 0.0
    """How much of this task it has waited for answers."""
    has_client: bool = False
    """It uses one of Locust's clients, so that all its requests are known."""
    lag_s: float = 0.0
    """How late this task began, by its pace."""
    active_s: float = 0.0
    """When it last did something observable."""
    slow_s: float = 0.0
    """How long it waited before its first task for answers that missed their deadline."""
    keeps_pace: bool | None = None
    """Since its first task it has waited by its pace, not by a task set's wait; None before the second task."""
    began_s: float | None = None
    """When its last request began."""
    kept_s: float = 0.0
    """By how much that request exceeded the deadline."""
    kept_until_s: float = -math.inf
    """Overlong answers have been counted up to here, so that concurrent ones aren't counted twice."""

    def is_at_work(self, at_s: float, *, is_of_task: bool) -> bool:
        """Whether it was past its setup and had not left at that time; greenlets that it spawned may work on longer."""
        return self.set_up_s - EARLY_S <= at_s and (at_s < self.leaves_s or not is_of_task)

    def end_set_up(self, now_s: float) -> None:
        """The setup ends with the first task, or with the first task set that the user leaves."""
        self.set_up_s = min(self.set_up_s, now_s)

    def never_began_s(self, now_s: float) -> float:
        """How long it stayed without ever beginning a task, in s; 0 if it did, or if slow answers are to blame."""
        stayed_s = now_s - self.due_s
        return stayed_s if self.set_up_s == math.inf and self.slow_s < stayed_s / 2 else 0.0

    def leave(self, now_s: float) -> bool:
        """Its `on_stop` begins; ignored if the user's own code calls it within a task or before the first one."""
        if self.is_in_turn or self.set_up_s == math.inf:
            return False
        self.leaves_s = now_s
        return True

    def begin_turn(self, waited: Wait, now_s: float, user_time: UserTime) -> None:
        """A task begins. If a paced user didn't have to wait for it, answers may have cost it turns."""
        self.lag_s = 0.0
        if self.pace_s is not None and self.set_up_s < math.inf and waited == self.waited:
            self.keeps_pace = bool(self.keeps_pace)
        elif self.pace_s is not None and self.set_up_s < math.inf:
            self.keeps_pace = True
            self.lag_s = max(0.0, waited.ended_ago_s())
            if not waited.length_s:
                # Time that its own code took is intended, and costs no turns.
                answered_s = min(self.active_s, self.due_s + self.answering_s)
                user_time.kept_waiting(self.sent, MISSED, self.due_s + self.pace_s, answered_s, every_s=self.pace_s)
        self.waited = waited
        self.due_s, self.active_s = now_s - self.lag_s, now_s
        self.end_set_up(now_s)
        self.leaves_s, self.is_in_turn = math.inf, True
        self.has_sent, self.answering_s = False, 0.0

    def end_turn(self, now_s: float, *, longest_s: float, user_time: UserTime) -> None:
        """A task ends. If it reported nothing for `longest_s` through an unknown client, count that time as late."""
        if not self.has_client and now_s - self.active_s > longest_s:
            user_time.late(self.kind, self.active_s, min(now_s, self.gone_s))
        self.active_s, self.is_in_turn = now_s, False


@dataclass(frozen=True, eq=False)
class PlainRequest:
    """A request that one of Locust's clients is sending, or that another client has reported."""

    method: str
    began_s: float
    life: Life | None
    is_of_task: bool
    """It was sent by the user's own greenlet, not by one that a task spawned."""
    named: Callable[[], str]

    @functools.cached_property
    def endpoint(self) -> str:
        """The request's name, computed only if needed: most get it from the event that ends them."""
        return self.named()


class Unreported(NamedTuple):
    """A request that has been answered but not yet reported by Locust's event."""

    request: PlainRequest
    answered_s: float
    context: object
    """Referenced, so that no other object gets its id."""


class Stall(NamedTuple):
    """A time in which an answer, beyond its deadline, kept its user from sending."""

    endpoint: str
    """Empty for its setup, which keeps a user from everything that its kind sends."""
    from_s: float
    until_s: float


@dataclass
class Usual:
    """How often users of one kind send when no answer keeps them from it."""

    seconds: float = 0.0
    requests: int = 0
    names: Counter[str] = field(default_factory=Counter)
    stalls: list[Stall] = field(default_factory=list)
    """Stalls seen before the usual rate was known."""
    unsure: list[tuple[Life, Stall]] = field(default_factory=list)
    """Stalls of paced users in their first task: if they begin no other, their pace has counted no missed turn."""
