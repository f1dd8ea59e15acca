"""Schedules a backup per day and reports when backups fail or are missing.

The next backup's time is determined once, when the schedule starts or a backup begins; waiting for it uses a clock that
only moves forward. So a wall clock that jumps neither skips a backup nor causes two.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from payments_api.backups.manifest import FUTURE, BackupName

OVERDUE_S: Final = 26 * 3600.0
_FIRST_RETRY_S: Final = 300.0
_LAST_RETRY_S: Final = 3600.0
_LOOK_EVERY_S: Final = 3600.0
_PATIENCE_S: Final = 900.0
"""How long a backup that makes up for a missed one may take before it is reported as overdue."""
_AT_LEAST: Final = timedelta(hours=1)
"""Shortest time between two backups: a clock that was set back a little would reach the time of day twice."""

Report = Callable[[str, str], None]
"""Called with `backup-failed`, `backup-missing`, `backup-overdue` or `backup-recovered`, and a sentence about it."""


def steady_s() -> float:
    """Seconds since the machine booted, including time asleep. Source: clock_gettime(2)."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


@dataclass(frozen=True)
class Clocks:
    wall: Callable[[], datetime] = lambda: datetime.now(UTC)
    steady_s: Callable[[], float] = steady_s


def next_at(now: datetime, at_s: int) -> datetime:
    """When it is next `at_s` seconds after midnight, UTC."""
    today = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(seconds=at_s)
    return today if today > now else today + timedelta(days=1)


class Schedule:
    """Call `tick` often; it takes backups when they are due, and reports when backups are missing."""

    def __init__(
        self,
        *,
        at_s: int,
        take: Callable[[], None],
        good_backups: Callable[[], list[BackupName]],
        report: Report,
        clocks: Clocks = Clocks(),
    ) -> None:
        """`take` raises if no backup was taken; `good_backups`, which returns the latest ones, may raise, too."""
        self._at_s = at_s
        self._take = take
        self._good_backups = good_backups
        self._report = report
        self._clocks = clocks
        self._good_s = clocks.steady_s()
        """When the last good backup was taken, or when this schedule started."""
        self._newest: BackupName | None = None
        self._looked_s: float | None = None
        self._is_planned = False
        self._look_s = self._due_s = self._work_s = self._good_s
        self._retry_s = _FIRST_RETRY_S
        self._failed = False
        self._overdue = False

    def tick(self) -> None:
        now_s = self._work_s = self._clocks.steady_s()
        if now_s >= self._due_s:
            self._work()
        elif now_s >= self._look_s and self._is_lost():
            self._failed, self._due_s = True, now_s
            self._report("backup-missing", "the latest good backup is no longer there; taking another")
        self._see_to_overdue()

    def blocked(self, why: str) -> None:
        """Replaces `tick` in a process that can't take backups: says so once, and still reports missing backups."""
        if not self._failed:
            self._failed = True
            self._report("backup-failed", why)
        self._watch()

    def left_to_another(self) -> None:
        """Replaces `tick` while another process takes the backups: still reports missing ones."""
        if self._failed:
            self._recover("another process takes the backups")
        self._watch()
        if self._overdue and self._age_s() < OVERDUE_S:
            self._recover("another process has taken a backup")

    def working(self) -> None:
        """Call this often from within `take` and `good_backups`: the last good backup gets older while they run."""
        if self._clocks.steady_s() - self._work_s >= _PATIENCE_S:
            self._see_to_overdue()

    def _see_to_overdue(self) -> None:
        if self._age_s() >= OVERDUE_S and not self._overdue:
            self._overdue = True
            self._report("backup-overdue", f"the last good backup is {self._age_s() / 3600:.0f} hours old")

    def _age_s(self) -> float:
        return self._clocks.steady_s() - self._good_s

    def _watch(self) -> None:
        self._work_s = self._clocks.steady_s()
        if self._work_s >= self._look_s:
            self._is_lost()
        self._see_to_overdue()

    def _is_lost(self) -> bool:
        """Whether the latest good backup has disappeared; if the place can't be read, only its age grows."""
        before = self._newest
        try:
            self._look()
        except Exception:  # noqa: BLE001 - the next backup will report it
            return False
        return before is not None and (self._newest is None or self._newest.order < before.order)

    def _work(self) -> None:
        began, began_s = self._clocks.wall(), self._clocks.steady_s()
        try:
            is_due = self._is_planned or self._is_due_at_start(began)
            self._is_planned = True
            if is_due:
                self._take()
                # The copy dates from the beginning of the backup, or a little later.
                self._good_s = began_s
                self._look_s = self._clocks.steady_s()
        except Exception as error:  # noqa: BLE001 - a backup that fails because of a bug is missing, too
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

    def _is_due_at_start(self, now: datetime) -> bool:
        """Whether a missed backup must be made up for: the place has none from after the last scheduled time."""
        last = self._look()
        return last is None or last < next_at(now, self._at_s) - timedelta(days=1)

    def _look(self) -> datetime | None:
        """When the last good backup was taken, by the wall clock; a new one was taken since the last look."""
        now, now_s = self._clocks.wall(), self._clocks.steady_s()
        self._look_s = now_s + (_FIRST_RETRY_S if self._overdue else _LOOK_EVERY_S)
        backups = self._good_backups()
        last = max((backup.taken_at for backup in backups if backup.taken_at <= now + FUTURE), default=None)
        newest = max(backups, key=lambda backup: backup.order, default=None)
        is_new = newest is not None and (self._newest is None or newest.order > self._newest.order)
        if last is not None and is_new:
            taken_s = now_s - max((now - last).total_seconds(), 0)
            self._good_s = taken_s if self._looked_s is None else max(taken_s, self._looked_s, self._good_s)
        self._newest, self._looked_s = newest, now_s
        return last
