"""Decides which backups may be deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from payments_api.backups.manifest import BackupName

_NEWEST: Final = 3
"""Always kept, whatever their day: a manual backup before a migration outlives that day's scheduled one."""


class Keep(NamedTuple):
    """The newest backup of each of the last days, ISO weeks and months that have one, in UTC."""

    days: int
    weeks: int
    months: int


def to_delete(backups: Iterable[BackupName], keep: Keep) -> list[BackupName]:
    """The backups of one ledger that may be deleted, oldest first.

    Today's date doesn't matter: a clock that was years ahead for a day costs one backup, not all of them.
    """
    newest_first = sorted(backups, key=lambda backup: backup.order, reverse=True)
    kept = set(newest_first[:_NEWEST])
    kept |= _newest_of_each(newest_first, lambda backup: backup.taken_at.date(), keep.days)
    kept |= _newest_of_each(newest_first, lambda backup: backup.taken_at.isocalendar()[:2], keep.weeks)
    kept |= _newest_of_each(newest_first, lambda backup: (backup.taken_at.year, backup.taken_at.month), keep.months)
    return [backup for backup in reversed(newest_first) if backup not in kept]


def _newest_of_each(
    newest_first: list[BackupName], period_of: Callable[[BackupName], object], count: int
) -> set[BackupName]:
    newest: dict[object, BackupName] = {}
    for backup in newest_first:
        newest.setdefault(period_of(backup), backup)
    return set(list(newest.values())[:count])
