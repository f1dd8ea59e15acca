"""What is known of a user of somebody else's: where its time goes, and what it is waiting for."""

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

    from loadproof.generator.paces import Wait
    from loadproof.recording.usertime import UserTime


EARLY_S: Final = 0.001
"""By less, a moment of the time of day may seem to be before the one that it was after."""


@dataclass(eq=False)
class Life:
    """One user, from its first step on. Moments are seconds from the run's start."""

    user: User
    greenlet: greenlet
    kind: str
    pace_s: float | None
    """From one task to the next, where its `wait_time` says so."""
    due_s: float
    """When its task was to begin; at first, the user."""
    waited: Wait | None = None
    """The last wait of a paced user before this task."""
    set_up_s: float = math.inf
    """When its first task began."""
    leaves_s: float = math.inf
    """When its `on_stop` did."""
    is_in_turn: bool = False
    """A task of it runs."""
    has_sent: bool = False
    """In this task."""
    sent: list[str] = field(default_factory=list)
    """Names of what this task, or the last one, has sent."""
    answering_s: float = 0.0
    """How much of this task it waited for answers."""
    has_client: bool = False
    """It sends by a client of Locust's, whose every request is known."""
    lag_s: float = 0.0
    """How late this task began, by its pace."""
    active_s: float = 0.0
    """When it last was seen to do something."""
    longest_s: float = 0.0
    """Of the answers that it got until its first task."""
    keeps_pace: bool | None = None
    """It has waited by its pace since its first task, not by a wait of the set of tasks; None: there was no second."""
    began_s: float | None = None
    """When its last request did."""
    kept_s: float = 0.0
    """How much longer than the deadline that one took."""
    kept_until_s: float = -math.inf
    """Until when that has been counted, of several requests at a time."""

    def is_at_work(self, at_s: float, *, is_of_task: bool) -> bool:
        """Since its set-up, until it leaves, whenever that is asked; a greenlet that it began may work for longer."""
        return self.set_up_s - EARLY_S <= at_s and (at_s < self.leaves_s or not is_of_task)

    def end_set_up(self, now_s: float) -> None:
        """With its first task, or with the first set of tasks that it has left."""
        self.set_up_s = min(self.set_up_s, now_s)

    def never_began_s(self, now_s: float) -> float:
        """How long it was set up without a task after it, if no answer is to blame."""
        stayed_s = now_s - self.due_s
        return stayed_s if self.set_up_s == math.inf and self.longest_s < stayed_s / 2 else 0.0

    def leave(self, now_s: float) -> None:
        """Its `on_stop` begins: by Locust, unless its own code calls it in a task, or before all of them."""
        if not self.is_in_turn and self.set_up_s < math.inf:
            self.leaves_s = now_s

    def begin_turn(self, waited: Wait, now_s: float, user_time: UserTime) -> None:
        """A paced user that is free waits for its turn; if it did not have to, answers may have cost it turns."""
        self.lag_s = 0.0
        if self.pace_s is not None and self.set_up_s < math.inf and waited == self.waited:
            self.keeps_pace = bool(self.keeps_pace)
        elif self.pace_s is not None and self.set_up_s < math.inf:
            self.keeps_pace = True
            self.lag_s = max(0.0, waited.ended_ago_s())
            if not waited.length_s:
                # What its own code did in that time, it did as it was written.
                answered_s = min(self.active_s, self.due_s + self.answering_s)
                user_time.kept_waiting(self.sent, MISSED, self.due_s + self.pace_s, answered_s, every_s=self.pace_s)
        self.waited = waited
        self.due_s, self.active_s = now_s - self.lag_s, now_s
        self.end_set_up(now_s)
        self.leaves_s, self.is_in_turn = math.inf, True
        self.has_sent, self.answering_s = False, 0.0

    def end_turn(self, now_s: float, *, longest_s: float, user_time: UserTime) -> None:
        """A task may take its time, but nobody knows what its own client was doing that was silent for so long."""
        if not self.has_client and now_s - self.active_s > longest_s:
            user_time.late(self.kind, self.active_s, now_s)
        self.active_s, self.is_in_turn = now_s, False


@dataclass(frozen=True, eq=False)
class AskedRequest:
    """A request that one of Locust's clients was asked for, or that another one has told of."""

    method: str
    began_s: float
    life: Life | None
    is_of_task: bool
    """Rather than of a greenlet that the task began."""
    named: Callable[[], str]

    @functools.cached_property
    def endpoint(self) -> str:
        """What most requests are only asked for by the event that ends them."""
        return self.named()


class Untold(NamedTuple):
    """A request that has been answered, of which Locust's event will tell."""

    asked: AskedRequest
    answered_s: float
    context: object
    """Held, so that no other one has its identity."""


class Stall(NamedTuple):
    """A time in which an answer kept its user from sending: beyond what it may take."""

    endpoint: str
    """Empty in its set-up: all that users of its kind send."""
    from_s: float
    until_s: float


@dataclass
class Usual:
    """How often users of a kind send if no answer keeps them."""

    seconds: float = 0.0
    requests: int = 0
    names: Counter[str] = field(default_factory=Counter)
    stalls: list[Stall] = field(default_factory=list)
    """Those before that was known."""
