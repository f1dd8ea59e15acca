"""Turns users' time into interval cells: time present, time that the generator lost, and turns never taken.

The closed model plans turns in user-seconds: a number of users, each for a time. A user that is present waits for its
turn, waits for an answer, or has backed off; the rest is the generator's own lateness.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from loadproof.outcome import MISSED
from loadproof.rundir.rows import LATE_MS, NEVER_SENT, PRESENT_MS, IntervalRow

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from loadproof.plan.phases import PhaseSpan

_Key = tuple[int, str, str, str, str]
"""Second, phase, endpoint, outcome, series."""


class _Overruns:
    """What overlong turns cost within one second of a phase without bursts.

    Saturated users add to the same second again and again; computing this per turn would take a tenth of their time.
    """

    def __init__(self, second: int = 0, span: PhaseSpan | None = None) -> None:
        self.second = second
        self.phase = span.name if span else ""
        self.begin_s = max(second, span.start_s) if span else math.inf
        self.end_s = min(second + 1.0, span.end_s) if span else -math.inf
        self.sums: defaultdict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
        """By endpoint: the seconds that users were late, and the requests they missed."""


class UserTime:
    """One per process. Times are seconds from the run's start; time before it or after the plan doesn't count."""

    def __init__(self, spans: Sequence[PhaseSpan]) -> None:
        self._spans = spans
        self._bursts = [(at_s, span) for span in spans for at_s in span.bursts_s]
        self._overruns = _Overruns()
        self._users: Counter[str] = Counter()
        """By endpoint, the number of users present."""
        self._counted_s = 0.0
        """Their time has been counted up to here."""
        self._amounts: defaultdict[_Key, float] = defaultdict(float)
        self._left_over: defaultdict[tuple[str, str, str], float] = defaultdict(float)
        """By endpoint, outcome and series: the remainder after rounding to whole numbers."""

    def came(self, endpoint: str, now_s: float) -> None:
        self.count_until(now_s)
        self._users[endpoint] += 1

    def came_back(self, endpoint: str, gone_s: float, now_s: float) -> None:
        """A user only seemed to leave at `gone_s`: it was there all the time."""
        self.came(endpoint, now_s)
        self._add((endpoint, "", PRESENT_MS), gone_s, now_s, per_s=1000)

    def left(self, endpoint: str, now_s: float) -> None:
        self.count_until(now_s)
        self._users[endpoint] -= 1

    def count_until(self, now_s: float) -> None:
        for second, span, length_s in self._parts(self._counted_s, now_s):
            for endpoint, users in self._users.items():
                self._amounts[second, span.name, endpoint, "", PRESENT_MS] += users * length_s * 1000
        self._counted_s = max(self._counted_s, now_s)

    def late(self, endpoint: str, from_s: float, until_s: float) -> None:
        """A user was present and should have sent, but its own code or the event loop prevented it."""
        self._add((endpoint, "", LATE_MS), from_s, until_s, per_s=1000)

    def kept_waiting(self, requests: Sequence[str], why: str, from_s: float, until_s: float, *, every_s: float) -> None:
        """A user could not take its turns with these requests during this time; `why` is the outcome to count.

        Bursts are counted separately.
        """
        for endpoint in requests:
            self._add((endpoint, why, NEVER_SENT), from_s, until_s, per_s=1 / every_s)

    def overran(
        self, kind: str, requests: Sequence[str], from_s: float, own_s: float, until_s: float, every_s: float
    ) -> None:
        """A turn with these requests outlasted its pace: until `own_s` it waited for answers, then it was late."""
        overruns = self._overruns
        if overruns.begin_s <= from_s <= until_s <= overruns.end_s:
            sums = overruns.sums
            sums[kind][0] += until_s - own_s
            missed = (own_s - from_s) / every_s
            for endpoint in requests:
                sums[endpoint][1] += missed
            return
        self.late(kind, own_s, until_s)
        self.kept_waiting(requests, MISSED, from_s, own_s, every_s=every_s)
        self._end_overruns()
        for second, span, _ in self._parts(from_s, until_s):
            if not span.bursts_s:
                self._overruns = _Overruns(second, span)

    def _end_overruns(self) -> None:
        second, phase = self._overruns.second, self._overruns.phase
        for endpoint, (late_s, missed) in self._overruns.sums.items():
            self._amounts[second, phase, endpoint, "", LATE_MS] += late_s * 1000
            self._amounts[second, phase, endpoint, MISSED, NEVER_SENT] += missed
        self._overruns.sums.clear()

    def _add(self, kind: tuple[str, str, str], from_s: float, until_s: float, *, per_s: float) -> None:
        """Add to each second's amount of this kind the part that falls into it."""
        for second, span, length_s in self._parts(from_s, until_s):
            if kind[2] != NEVER_SENT or not span.bursts_s:
                self._amounts[second, span.name, *kind] += length_s * per_s

    def missed_bursts(self, endpoint: str, why: str, after_s: float, until_s: float, *, took_last: bool) -> None:
        """A user was busy during the bursts in (after, until]; `took_last`: it takes the last one late."""
        if not self._bursts:
            return
        bursts = [(at_s, span) for at_s, span in self._bursts if after_s < at_s <= until_s]
        for at_s, span in bursts[: len(bursts) - took_last]:
            self._amounts[int(at_s), span.name, endpoint, why, NEVER_SENT] += 1

    def take(self, now_s: float) -> list[IntervalRow]:
        """What was recorded since the last call."""
        self.count_until(now_s)
        self._end_overruns()
        amounts, self._amounts = self._amounts, defaultdict(float)
        rows: list[IntervalRow] = []
        for (second, phase, endpoint, outcome, series), amount in sorted(amounts.items()):
            kind = endpoint, outcome, series
            whole = round(amount + self._left_over[kind])
            self._left_over[kind] += amount - whole
            if whole > 0:
                rows.append(IntervalRow(second, phase, endpoint, outcome, series, bucket=0, count=whole))
        return rows

    def _parts(self, from_s: float, until_s: float) -> Iterator[tuple[int, PhaseSpan, float]]:
        """The time between the two, split at full seconds and at the ends of phases."""
        for span in self._spans:
            begin_s, end_s = max(from_s, span.start_s), min(until_s, span.end_s)
            while begin_s < end_s:
                next_s = min(math.floor(begin_s) + 1.0, end_s)
                yield int(begin_s), span, next_s - begin_s
                begin_s = next_s
