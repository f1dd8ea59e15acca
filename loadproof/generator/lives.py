"""What is known of a user of somebody else's: where its time goes, and what it is waiting for."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from loadproof.outcome import MISSED

if TYPE_CHECKING:
    from greenlet import greenlet
    from locust import User

    from loadproof.generator.paces import Wait
    from loadproof.recording.usertime import UserTime


_EARLY_S: Final = 0.001
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
    began_s: float | None = None
    """When its last request did."""
    kept_s: float = 0.0
    """How much longer than the deadline that one took."""
    kept_until_s: float = -math.inf
    """Until when that has been counted, of several requests at a time."""

    def is_at_work(self, at_s: float) -> bool:
        """Between its set-up and its leaving, whenever that is asked: a greenlet of its own may wait for longer."""
        return self.set_up_s - _EARLY_S <= at_s < self.leaves_s

    def begin_turn(self, waited: Wait, now_s: float, user_time: UserTime) -> None:
        """A paced user that is free waits for its turn; if it did not have to, answers may have cost it turns."""
        self.lag_s = 0.0
        if self.pace_s is not None and self.set_up_s < math.inf and waited != self.waited:
            self.lag_s = max(0.0, waited.ended_ago_s())
            if not waited.length_s:
                # What its own code did in that time, it did as it was written.
                answered_s = min(self.active_s, self.due_s + self.answering_s)
                user_time.kept_waiting(self.sent, MISSED, self.due_s + self.pace_s, answered_s, every_s=self.pace_s)
        self.waited = waited
        self.due_s, self.active_s = now_s - self.lag_s, now_s
        self.set_up_s = min(self.set_up_s, now_s)
        self.has_sent, self.answering_s = False, 0.0

    def end_turn(self, now_s: float, *, longest_s: float, user_time: UserTime) -> None:
        """A task may take its time, but nobody knows what its own client was doing that was silent for so long."""
        if not self.has_client and now_s - self.active_s > longest_s:
            user_time.late(self.kind, self.active_s, now_s)
        self.active_s = now_s


@dataclass(frozen=True, eq=False)
class AskedRequest:
    """A request that one of Locust's clients was asked for."""

    endpoint: str
    method: str
    began_s: float
    life: Life | None
    is_of_task: bool
    """Rather than of a greenlet that the task began."""


@dataclass
class Usual:
    """How often users of a kind send if no answer keeps them."""

    seconds: float = 0.0
    requests: int = 0
