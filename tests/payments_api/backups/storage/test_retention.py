"""Which backups may be deleted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from payments_api.backups.manifest import BackupName, new_name
from payments_api.backups.storage.retention import Keep, to_delete

START = datetime(2026, 1, 5, 3, tzinfo=UTC)


def backup(after: timedelta, number: int = 0) -> BackupName:
    found = BackupName.parse(new_name(Path("ledger.sqlite3"), START + after, f"{number:08x}"))
    assert found is not None
    return found


def kept(backups: list[BackupName], keep: Keep) -> list[BackupName]:
    gone = to_delete(backups, keep)
    return [backup for backup in backups if backup not in gone]


def test_a_year_of_daily_backups_leaves_days_weeks_and_months():
    """The newest of each."""
    year = [backup(timedelta(days=day)) for day in range(365)]
    days = [one.taken_at.date() for one in kept(year, Keep(7, 4, 6))]
    assert [f"{day:%m-%d}" for day in days] == [
        *("08-31", "09-30", "10-31", "11-30"),
        *("12-20", "12-27"),
        *("12-29", "12-30", "12-31", "01-01", "01-02", "01-03", "01-04"),
    ]


@given(
    hours=st.lists(st.integers(0, 9000), unique=True, max_size=40),
    keep=st.builds(Keep, st.integers(1, 5), st.integers(0, 4), st.integers(0, 4)),
)
def test_the_newest_backups_stay_and_the_number_kept_is_bounded(hours, keep):
    """Deleting twice changes nothing more, and the newest backup of each kept day stays."""
    backups = [backup(timedelta(hours=hour), number) for number, hour in enumerate(hours)]
    newest_first = sorted(backups, key=lambda one: one.taken_at, reverse=True)
    left = kept(backups, keep)
    assert set(newest_first[:3]) <= set(left)
    assert len(left) <= 3 + sum(keep)
    assert to_delete(left, keep) == []
    newest_of_days = {one.taken_at.date(): one for one in reversed(newest_first)}
    for day in sorted(newest_of_days, reverse=True)[: keep.days]:
        assert newest_of_days[day] in left


def test_a_clock_that_was_years_ahead_deletes_no_other_backup():
    """Its backup only counts as one more day."""
    week = [backup(timedelta(days=day)) for day in range(7)]
    assert to_delete([*week, backup(timedelta(days=9000))], Keep(8, 0, 0)) == []


def test_of_several_backups_of_a_day_the_newest_three_stay():
    """A manual one before a migration is still there after the scheduled one."""
    day = [backup(timedelta(hours=hour), hour) for hour in range(6)]
    assert kept(day, Keep(14, 8, 12)) == day[3:]
