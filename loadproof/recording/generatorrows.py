"""Turns completed seconds into rows of generator.csv: the state of a process, second by second."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from loadproof.recording.second import lag_p99_s
from loadproof.recording.vitals import VitalsClock
from loadproof.rundir.rows import GeneratorRow

if TYPE_CHECKING:
    from collections.abc import Callable

    from loadproof.recording.second import Second, Tables
    from loadproof.recording.vitals import VitalsReading

_EARLY_S: Final = 0.01
"""Waking up this much before the end of a second counts as having slept through it."""


class GeneratorRows:
    """A row per second up to the plan's end; the last one is held back until everything after it is counted."""

    def __init__(self, worker: str, end_s: float, read_vitals: Callable[[], VitalsReading]) -> None:
        self._worker = worker
        self._end_s = end_s
        """No second is reported after it: stopping the users is not part of the run."""
        self._vitals = VitalsClock(read_vitals)
        self._taken_s = 0.0
        """Seconds have been reported up to here."""
        self._last_row: GeneratorRow | None = None

    def second_ends_s(self, now_s: float) -> float:
        """When the current second is over: at the next full second, or at the plan's end."""
        full_s = math.floor(now_s + _EARLY_S) + 1.0
        return min(full_s, self._end_s) if now_s < self._end_s - _EARLY_S else full_s

    def has_begun(self, now_s: float) -> bool:
        """At least one second is over."""
        return now_s >= min(1.0, self._end_s) - _EARLY_S

    def end_early(self, now_s: float) -> None:
        """The last second ends now, because users are about to be stopped."""
        self._end_s = min(self._end_s, now_s)

    def begin(self, now_s: float) -> None:
        """Start the first second: CPU time used so far is not part of it, but what was sent so far is."""
        self._vitals.since_last()
        self._taken_s = max(0.0, now_s)

    def row(self, done: Second, tables: Tables, now_s: float, users: int, *, last: bool) -> GeneratorRow | None:
        """The row of a second that is over; None if it is held back, or has no length."""
        if self._last_row is not None:
            self._last_row = _with_more(self._last_row, done, tables)
            return self._last_row if last else None
        length_s = now_s - self._taken_s
        if length_s <= 0:
            return None
        row = self._row(done, tables, users, length_s)
        self._taken_s = now_s
        if last or now_s < self._end_s - _EARLY_S:
            return row
        self._last_row = row
        return None

    def _row(self, done: Second, tables: Tables, users: int, length_s: float) -> GeneratorRow:
        vitals = self._vitals.since_last()
        return GeneratorRow(
            second=math.floor(self._taken_s + _EARLY_S),
            worker=self._worker,
            cpu_ratio=vitals.cpu_ratio,
            wait_ratio=vitals.wait_ratio,
            steal_ratio=vitals.steal_ratio,
            loop_delay_s=done.loop_delay_s,
            lag_p99_s=lag_p99_s(tables, done.followed),
            users=users,
            in_flight=done.peak_in_flight,
            sent=done.sent,
            dropped=done.dropped,
            abandoned=done.abandoned,
            clock_step_s=vitals.clock_step_s,
            asleep_s=vitals.asleep_s,
            length_s=length_s,
        )


def _with_more(row: GeneratorRow, done: Second, tables: Tables) -> GeneratorRow:
    return row._replace(
        lag_p99_s=max(row.lag_p99_s, lag_p99_s(tables, done.followed)),
        in_flight=max(row.in_flight, done.peak_in_flight),
        sent=row.sent + done.sent,
        dropped=row.dropped + done.dropped,
        abandoned=row.abandoned + done.abandoned,
    )
