"""Turns a client's violations into penalties that grow with each one and shrink with good behaviour."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

_MOST_STRIKES: Final = 100
"""Otherwise, with a factor close to 1, violations would be remembered forever."""


@dataclass(frozen=True)
class PenaltyRule:
    """The n-th violation costs base · factor^(n - 1) seconds, at most the cap; each quiet `memory` forgives one."""

    base_s: float
    factor: float = 2.0
    cap_s: float = 600.0
    memory_s: float = 600.0

    @cached_property
    def most_strikes(self) -> int:
        """Most violations counted: more wouldn't make penalties longer, and would only take longer to forget."""
        if self.factor <= 1 or self.cap_s <= self.base_s:
            return 1
        return min(_MOST_STRIKES, 1 + math.ceil(math.log(self.cap_s / self.base_s, self.factor) - 1e-9))

    def penalty_s(self, strikes: int) -> float:
        return min(self.cap_s, self.base_s * self.factor ** (strikes - 1))

    def strikes_left(self, strikes: int, quiet_s: float) -> int:
        """Violations still counted after `quiet_s` seconds without one since the end of the last penalty."""
        return max(0, strikes - int(max(0.0, quiet_s) // self.memory_s))


class _Record(NamedTuple):
    strikes: int
    until_s: float


class LocalPenalties:
    """Two numbers per client, for `most` clients; beyond that, the client punished longest ago is forgotten."""

    def __init__(self, rule: PenaltyRule, most: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._rule = rule
        self._most = most
        self._clock = clock
        self._records: OrderedDict[str, _Record] = OrderedDict()

    def __len__(self) -> int:
        return len(self._records)

    def left_s(self, client: str) -> float:
        """Seconds until the client's penalty ends; 0 if there is none."""
        record = self._records.get(client)
        return max(0.0, record.until_s - self._clock()) if record else 0.0

    def punish(self, client: str, after_s: float) -> float:
        """Record a violation; the penalty starts in `after_s`, when the limit would admit the client again.

        Returns the seconds until it ends. Violations during a penalty don't count: requests that were in flight
        together cost one.
        """
        now_s = self._clock()
        strikes, until_s = self._records.get(client, _Record(0, now_s))
        if until_s > now_s:
            return until_s - now_s
        strikes = min(self._rule.strikes_left(strikes, now_s - until_s) + 1, self._rule.most_strikes)
        left_s = after_s + self._rule.penalty_s(strikes)
        self._records[client] = _Record(strikes, now_s + left_s)
        self._records.move_to_end(client)
        if len(self._records) > self._most:
            self._records.popitem(last=False)
        return left_s
