"""A backup per day: when the next one is due, on a clock that nobody sets, and who is told if it is missing.

The time of day is read once, when the schedule starts and after each backup; waiting for it uses a clock that only
moves forward, at a steady rate. So a wall clock that jumps neither skips a backup nor doubles one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from payments_api.backups.manifest import FUTURE

OVERDUE_S: Final = 26 * 3600.0
_FIRST_RETRY_S: Final = 300.0
_LAST_RETRY_S: Final = 3600.0
_LOOK_EVERY_S: Final = 3600.0
_AT_LEAST: Final = timedelta(hours=1)
"""Between two backups: a clock that was set back a little would have its time of day twice."""

Report = Callable[[str, str], None]
"""Receives what happened, `backup-failed`, `backup-overdue` or `backup-recovered`, and a sentence about it."""


def steady_s() -> float:
    """Seconds since the machine started, including those it slept through. Source: clock_gettime(2)."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


@dataclass(frozen=True)
class Clocks:
    wall: Callable[[], datetime] = lambda: datetime.now(UTC)
    steady_s: Callable[[], float] = steady_s


def next_at(now: datetime, at_s: int) -> datetime:
    """The first such time of day after now."""
    today = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(seconds=at_s)
    return today if today > now else today + timedelta(days=1)


class Schedule:
    """Call `tick` often; it takes backups when they are due, and reports when backups are missing."""

    def __init__(
        self,
        *,
        at_s: int,
        take: Callable[[], None],
        good_backups: Callable[[], list[datetime]],
        report: Report,
        clocks: Clocks = Clocks(),
    ) -> None:
        """`take` raises if no backup was taken; `good_backups`, the times of the existing ones, may raise too."""
        self._at_s = at_s
        self._take = take
        self._good_backups = good_backups
        self._report = report
        self._clocks = clocks
        self._good_s = clocks.steady_s()
        """When the last good backup was, or when this began."""
        self._has_looked = False
        self._look_s = self._good_s
        self._due_s = self._good_s
        self._retry_s = _FIRST_RETRY_S
        self._failed = False
        self._overdue = False

    def tick(self) -> None:
        if self._clocks.steady_s() >= self._due_s:
            self._work()
        self._see_to_overdue()

    def blocked(self, why: str) -> None:
        """`tick` for a process that can't take backups: says so once, and still reports missing backups."""
        if not self._failed:
            self._failed = True
            self._report("backup-failed", why)
        now_s = self._clocks.steady_s()
        if now_s >= self._look_s:
            self._look_s = now_s + _LOOK_EVERY_S
            # A place that can't be read has no newer one for us; the age keeps growing.
            with suppress(Exception):
                self._look(self._clocks.wall(), now_s)
        self._see_to_overdue()

    def left_to_another(self) -> None:
        """`tick` for a process that finds another one at work: what was wrong here no longer matters."""
        if self._failed or self._overdue:
            self._recover("another process takes the backups")

    def _see_to_overdue(self) -> None:
        age_s = self._clocks.steady_s() - self._good_s
        if age_s >= OVERDUE_S and not self._overdue:
            self._overdue = True
            self._report("backup-overdue", f"the last good backup is {age_s / 3600:.0f} hours old")

    def _work(self) -> None:
        began, began_s = self._clocks.wall(), self._clocks.steady_s()
        try:
            is_due = self._has_looked or self._is_due_at_start(began, began_s)
            self._has_looked = True
            if is_due:
                self._take()
                # The copy is as of the beginning, or a little later.
                self._good_s = began_s
        except Exception as error:  # noqa: BLE001 - a backup that fails for a bug of ours is missing all the same
            self._due_s = self._clocks.steady_s() + self._retry_s
            self._retry_s = min(2 * self._retry_s, _LAST_RETRY_S)
            self._failed = True
            self._report("backup-failed", str(error))
            return
        self._due_s = began_s + (next_at(began + _AT_LEAST, self._at_s) - began).total_seconds()
        self._retry_s = _FIRST_RETRY_S
        if self._failed or self._overdue:
            self._recover("a backup was taken and is good")

    def _recover(self, how: str) -> None:
        self._failed = self._overdue = False
        self._report("backup-recovered", how)

    def _is_due_at_start(self, now: datetime, now_s: float) -> bool:
        """Nothing is due if the place has one from after the last time of day; a missed one is made up for."""
        last = self._look(now, now_s)
        return last is None or last < next_at(now, self._at_s) - timedelta(days=1)

    def _look(self, now: datetime, now_s: float) -> datetime | None:
        last = max((at for at in self._good_backups() if at <= now + FUTURE), default=None)
        if last is not None:
            self._good_s = min(now_s, now_s - (now - last).total_seconds())
        return last
