"""Follows a fixed window limiter through a run: when each window started by a first request can have begun and ended.

A window begins with the first request at or after the end of the previous one, and lasts one period. Its begin is
bounded by the earliest time at which a request can have come then, and the latest by which one certainly had. A client
that had nothing admitted for a period certainly begins a new window.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from loadproof.analysis.audit.limits.timeline import Excess, Line

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class FixedWindows:
    """Windows in the order of their time on the line: earliest and latest begin and end of each, in µs."""

    begin_low: NDArray[np.int64]
    begin_high: NDArray[np.int64]
    end_low: NDArray[np.int64]
    end_high: NDArray[np.int64]
    excesses: list[Excess] = field(default_factory=list)
    """Clients with some windows in a row that together admitted more than they have room for."""

    def of(self, from_us: NDArray[np.int64], to_us: NDArray[np.int64]) -> NDArray[np.int64]:
        """The window that each of these intervals certainly lies in; -1 if that is unknown."""
        number = np.searchsorted(self.begin_high, from_us, side="right") - 1
        if not len(self.begin_high):
            return number
        return np.where((number >= 0) & (to_us < self.end_low[number]), number, -1)


def fixed_windows(line: Line, *, known_after_us: int = 0) -> FixedWindows:
    """All clients' windows; none if several processes count separately.

    `known_after_us` is how long after a client's first request a window from before the run may last.
    """
    columns: tuple[list[NDArray[np.int64]], ...] = ([], [], [], [])
    over: dict[int, Excess] = {}
    size, starts = line.limit.amount, _Starts.of(line)
    begun = starts.positions(line, known_after_us) if line.limit.processes == 1 else np.empty(0, dtype=np.int64)
    client, limits = line.client[begun], np.append(line.sent[begun], np.iinfo(np.int64).max)[1:]
    low = line.sent[begun]
    high = low + np.where(np.isin(begun, line.first), known_after_us, 0)
    # The minimum so far of what was admitted before a window minus the room of the windows before it.
    least = np.full(len(begun), np.iinfo(np.int64).max)
    room = 0
    while len(client):
        least = np.minimum(least, line.sure.begun_before(high) - room)
        begin_low, begin_high = starts.after(low, high)
        # Stop at the client's next certain start, or at the next client.
        exists = np.maximum(begin_low, begin_high) < limits
        client, limits, least, begin_low, begin_high = (
            part[exists] for part in (client, limits, least, begin_low, begin_high)
        )
        low, high = begin_low + line.window_us - line.slack_us, begin_high + line.window_us + line.slack_us
        room += size
        for column, values in zip(columns, (begin_low, begin_high, low, high), strict=True):
            column.append(values)
        excess = line.sure.over(low) - room - least
        for at in np.flatnonzero(excess > 0):
            found = Excess(int(client[at]), int(begin_low[at]), int(low[at]), size + int(excess[at]), size)
            over.setdefault(found.client, found)
    begin_low, begin_high, low, high = (np.concatenate([np.empty(0, np.int64), *column]) for column in columns)
    order = np.argsort(begin_low, kind="stable")
    return FixedWindows(begin_low[order], begin_high[order], low[order], high[order], list(over.values()))


@dataclass(frozen=True, eq=False)
class _Starts:
    """Bounds the begin of the window that follows an end known as an interval."""

    possible_ends: NDArray[np.int64]
    earliest_begins: NDArray[np.int64]
    """The earliest begin of requests that end at this time or later."""
    begins: NDArray[np.int64]
    earliest_ends: NDArray[np.int64]
    """The earliest end of requests that begin at this time or later."""

    @classmethod
    def of(cls, line: Line) -> _Starts:
        # Penalties refuse without a window; otherwise any request decided after a window's end begins a new one.
        surely = line.is_admitted | (line.is_refused if line.limit.penalties is None else False)
        may = ~line.is_refused
        ends, begins_by_end = _by(line.ended[may], line.sent[may])
        begins, ends_by_begin = _by(line.sent[surely], line.ended[surely])
        return cls(ends, begins_by_end, begins, ends_by_begin)

    @staticmethod
    def positions(line: Line, known_after_us: int) -> NDArray[np.int64]:
        """Positions of each client's first request, and of those that begin a window as all earlier ones are over."""
        first = np.zeros(len(line.rows), dtype=np.bool_)
        first[line.first[:-1]] = True
        counted = np.where(line.is_refused, np.iinfo(np.int64).min // 2, line.ended)
        until = np.append(np.iinfo(np.int64).min // 2, np.maximum.accumulate(counted)[:-1])[: len(line.rows)]
        known = line.sent[line.first[line.client]] + known_after_us if len(line.rows) else line.sent
        is_alone = line.sent - until >= line.window_us + line.slack_us
        return np.flatnonzero(first | (is_alone & ~line.is_refused & (line.sent >= known)))

    def after(self, low: NDArray[np.int64], high: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        earliest = self.earliest_begins[np.searchsorted(self.possible_ends, low, side="left")]
        latest = self.earliest_ends[np.searchsorted(self.begins, high, side="left")]
        return np.maximum(low, np.minimum(earliest, latest)), latest


def _by(keys: NDArray[np.int64], values: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The sorted keys, and the least value from each key on, with the largest integer after the last."""
    order = np.argsort(keys, kind="stable")
    far = np.iinfo(np.int64).max
    return keys[order], np.minimum.accumulate(np.append(values[order], far)[::-1])[::-1]
