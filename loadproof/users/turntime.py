"""Where the time of a user's turn goes: waiting for answers, pausing, and the user's own work."""

from __future__ import annotations

import math
from typing import Final

_MOST_WAITS: Final = 16
"""Separate waits remembered per turn; beyond that, the earliest two are merged."""


class TurnTime:
    """One user's current turn: what it has sent, and how long it waited for answers and paused."""

    __slots__ = ("_deadline_s", "_every_s", "_from_s", "_waits", "answering_s", "paused_s", "sent")

    def __init__(self, *, every_s: float, deadline_s: float) -> None:
        """`every_s` is the user's pace, `deadline_s` the time within which each answer should arrive."""
        self._every_s = every_s
        self._deadline_s = deadline_s
        self.sent: list[str] = []
        """Names of the requests sent in this turn, without retries."""
        self.answering_s = 0.0
        """Seconds of this turn spent waiting for answers; concurrent waits are counted once."""
        self.paused_s = 0.0
        """Seconds of this turn that its task asked to pause."""
        self._from_s = -math.inf
        """When the turn began, in monotonic seconds: earlier waits don't belong to it."""
        self._waits: list[tuple[float, float, float]] = []
        """Start and end of each wait, in monotonic seconds, and the time waited in between; in order, no overlaps."""

    def restart(self, from_s: float = -math.inf) -> None:
        """A turn begins at `from_s`, in monotonic seconds; the requests sent are cleared separately."""
        self.answering_s = self.paused_s = 0.0
        self._from_s = from_s
        self._waits.clear()

    def add_answering(self, began_s: float, ended_s: float) -> None:
        """Add a wait, in monotonic seconds; waits must be added as they end."""
        waits = self._waits
        if began_s < self._from_s:
            began_s = self._from_s
        while waits and began_s < waits[-1][1]:
            # Rarely runs: a user's next request usually begins after the previous one has ended.
            earlier_s, _, waited_s = waits.pop()
            self.answering_s -= waited_s
            if earlier_s < began_s:
                began_s = earlier_s
        self.answering_s += ended_s - began_s
        waits.append((began_s, ended_s, ended_s - began_s))
        if len(waits) > _MOST_WAITS:
            # A turn may have any number of requests: keep the list short.
            (first_s, _, first), (_, until_s, second) = waits[:2]
            waits[:2] = [(first_s, until_s, first + second)]

    def without_pauses(self, own_s: float) -> float:
        """The user's own share of a turn, which is all but the answers, without the pauses that are not to blame.

        Pauses that leave answers enough time to meet their deadline are planned and don't count. Longer ones count as
        far as the turn would have been too long even with answers just in time.
        """
        return min(own_s, max(own_s - self.paused_s, own_s + self._in_time_s - self._every_s))

    def was_kept_past(self, latest_s: float, *, begun_s: float, now_s: float) -> bool:
        """Whether answers kept a turn from `begun_s` to `now_s` from ending by `latest_s`.

        Either they took that long without the user's pauses and other work, or with these there would have been enough
        time for answers that meet their deadline.
        """
        own_s = now_s - begun_s - self.answering_s
        return begun_s + self.answering_s > latest_s or now_s > latest_s >= begun_s + own_s + self._in_time_s

    @property
    def _in_time_s(self) -> float:
        """How long this turn's answers would have taken if each had met its deadline."""
        return min(self.answering_s, len(self.sent) * self._deadline_s)
