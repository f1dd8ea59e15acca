"""Estimates from the timestamps of messages in both directions how far another machine's clock is ahead; pure.

The time a message seems to take is its transit time plus the other clock's lead in one direction, and minus it in the
other. The shortest in each direction contain the least transit time. Source: RFC 5905 (NTP), section 8, with the
minimum as its clock filter.
"""

from __future__ import annotations

import math


class Skew:
    """The skew of one other machine's clock."""

    def __init__(self) -> None:
        self._shortest_out_s = math.inf
        self._shortest_back_s = math.inf

    def out(self, seemed_s: float) -> None:
        """A message sent from here: their clock on arrival − ours on sending, in s."""
        self._shortest_out_s = min(self._shortest_out_s, seemed_s)

    def back(self, seemed_s: float) -> None:
        """A message received here: our clock on arrival − theirs on sending, in s."""
        self._shortest_back_s = min(self._shortest_back_s, seemed_s)

    @property
    def ahead_s(self) -> float:
        """By how much their clock is certainly ahead, in s (negative: behind); 0 until both directions were seen.

        The uncertainty is half of the shortest round trip.
        """
        if not math.isfinite(self.doubt_s):
            return 0.0
        ahead_s = (self._shortest_out_s - self._shortest_back_s) / 2
        return math.copysign(max(0.0, abs(ahead_s) - self.doubt_s / 2), ahead_s)

    @property
    def doubt_s(self) -> float:
        """By how much `ahead_s` may be wrong, in s: the shortest round trip; infinite before there was one."""
        return self._shortest_out_s + self._shortest_back_s
