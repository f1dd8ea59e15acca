"""A backup per day on a monotonic clock; missing ones are reported."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments_api.backups.manifest import BackupName
from payments_api.backups.mistakes import BackupError
from payments_api.backups.schedule.schedule import Clocks, Schedule, next_at

START = datetime(2026, 3, 10, 12, tzinfo=UTC)
THREE = 3 * 3600
HOUR = 3600.0
DAY = 24 * HOUR


class World:
    """Two clocks, a place, and what was reported."""

    def __init__(self, now: datetime = START, *, place: list[datetime] | None = None) -> None:
        self.wall = now
        self.steady_s = 5000.0
        self.place = [] if place is None else place
        self.taken_s: list[float] = []
        self.reports: list[tuple[str, str]] = []
        self.failing: str | None = None
        self.unreadable: str | None = None
        self.restart()

    def restart(self) -> None:
        clocks = Clocks(wall=lambda: self.wall, steady_s=lambda: self.steady_s)
        self.schedule = Schedule(
            at_s=THREE,
            take=self.take,
            good_backups=self.good_backups,
            report=lambda name, detail: self.reports.append((name, detail)),
            clocks=clocks,
        )

    def take(self) -> None:
        if self.failing:
            raise BackupError("place", self.failing, "see to it")
        self.taken_s.append(self.steady_s)
        self.place.append(self.wall)

    def good_backups(self) -> list[BackupName]:
        if self.unreadable:
            raise BackupError("place", self.unreadable, "see to it")
        return [BackupName(str(number), "ledger", "id", number, at) for number, at in enumerate(self.place)]

    def live(self, seconds: float, *, tick_s: float = 60.0) -> None:
        for _ in range(round(seconds / tick_s)):
            self.schedule.tick()
            self.steady_s += tick_s
            self.wall += timedelta(seconds=tick_s)

    def jump(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)

    @property
    def gaps_h(self) -> list[float]:
        return [(later - earlier) / HOUR for earlier, later in zip(self.taken_s, self.taken_s[1:], strict=False)]


def test_a_new_place_gets_a_backup_at_once_and_then_daily_at_the_set_time():
    """In UTC."""
    world = World()
    world.live(3 * DAY)
    assert [f"{at:%d %H:%M}" for at in world.place] == ["10 12:00", "11 03:00", "12 03:00", "13 03:00"]
    assert world.reports == []


def test_a_restart_does_not_repeat_an_existing_backup():
    """However often it restarts."""
    world = World()
    for _ in range(10):
        world.live(HOUR / 2)
        world.restart()
    assert len(world.taken_s) == 1


def test_a_missed_day_is_made_up_for_at_startup():
    """The next backup is at the set time again."""
    world = World(place=[START - timedelta(hours=9)])
    world.live(HOUR)
    assert world.taken_s == []
    world = World(place=[START - timedelta(hours=9, minutes=1)])
    world.live(DAY)
    assert [f"{at:%d %H:%M}" for at in world.place[1:]] == ["10 12:00", "11 03:00"]


@pytest.mark.parametrize("jump_s", [-400 * DAY, -DAY, -2 * HOUR, -120, 120, 2 * HOUR, 23 * HOUR, DAY, 400 * DAY])
@pytest.mark.parametrize("after_s", [60, 14 * HOUR, 15 * HOUR + 60, 20 * HOUR])
def test_a_wall_clock_that_jumps_neither_skips_nor_doubles_a_backup(jump_s, after_s):
    """Gaps are 1 to 25 hours, and all but one, which follows the new time of day, a whole day."""
    world = World()
    world.live(after_s)
    world.jump(jump_s)
    world.live(6 * DAY)
    assert max(world.gaps_h) <= 25.02
    assert min(world.gaps_h) >= 1
    # The first gap follows the start, as always.
    assert sum(gap_h < 23 for gap_h in world.gaps_h[1:]) <= 1
    assert [f"{at:%H:%M}" for at in world.place[-3:]] == ["03:00"] * 3
    assert world.reports == []


@given(jumps=st.lists(st.tuples(st.integers(1, 30), st.integers(-900, 900)), max_size=5))
def test_two_backups_are_never_more_than_25_hours_apart_whatever_the_clock_does(jumps):
    """Jumps of up to weeks, hours apart."""
    world = World()
    for wait_h, jump_h in jumps:
        world.live(wait_h * HOUR, tick_s=600)
        world.jump(jump_h * HOUR)
    world.live(DAY + 2 * HOUR, tick_s=600)
    assert max(world.gaps_h) <= 25.2
    assert min(world.gaps_h) >= 1
    assert world.reports == []


def test_a_clock_set_back_during_a_backup_does_not_cause_a_second_one():
    """The wait is measured from the backup's beginning."""
    world = World(START.replace(hour=2, minute=30), place=[START - timedelta(days=1)])
    world.live(HOUR / 2)
    take = world.take

    def slowly() -> None:
        take()
        world.steady_s += 60
        world.jump(-2 * HOUR)

    world.take = slowly
    world.restart()
    world.live(2 * HOUR)
    world.take = take
    world.live(20 * HOUR)
    assert len(world.taken_s) <= 2


def test_a_backup_dated_by_a_wrong_clock_proves_nothing_after_a_restart():
    """One from 2099: today's is taken all the same, but not at each restart."""
    world = World(place=[START.replace(year=2099)])
    world.live(HOUR)
    assert len(world.taken_s) == 1
    world.restart()
    world.live(HOUR)
    assert len(world.taken_s) == 1


def test_failures_are_reported_and_retried_with_growing_pauses():
    """After 5, 10, 20, 40, 60, 60 minutes; the recovery is reported once."""
    world = World()
    world.failing = "full"
    world.live(5 * HOUR)
    assert {name for name, _ in world.reports} == {"backup-failed"}
    assert len(world.reports) == 1 + 4 + 3
    assert world.reports[0][1] == "place: full; see to it"
    world.failing = None
    world.live(2 * HOUR)
    assert world.reports[8:] == [("backup-recovered", "a backup was taken and is good")]
    assert len(world.taken_s) == 1


def test_26_hours_without_a_backup_are_reported_once():
    """Since the last good one; and again after there was another good one."""
    world = World(START.replace(hour=3), place=[START.replace(hour=3)])
    world.live(23 * HOUR)
    world.failing = "gone"
    world.live(2.9 * HOUR)
    assert "backup-overdue" not in dict(world.reports)
    world.live(0.2 * HOUR)
    assert [detail for name, detail in world.reports if name == "backup-overdue"] == [
        "the last good backup is 26 hours old"
    ]
    world.live(5 * DAY)
    assert sum(name == "backup-overdue" for name, _ in world.reports) == 1
    world.failing = None
    world.live(2 * HOUR)
    assert world.reports[-1][0] == "backup-recovered"
    world.failing = "gone"
    world.live(3 * DAY)
    assert sum(name == "backup-overdue" for name, _ in world.reports) == 2


def test_a_place_without_any_backup_is_overdue_26_hours_after_the_start():
    """Nobody knows of an older one."""
    world = World()
    world.failing = "full"
    world.live(25 * HOUR)
    assert "backup-overdue" not in dict(world.reports)
    world.live(2 * HOUR)
    assert "backup-overdue" in dict(world.reports)


def test_an_old_backup_is_overdue_at_once_if_the_next_one_fails():
    """Its age counts from when it was taken."""
    world = World(place=[START - timedelta(days=3)])
    world.failing = "full"
    world.live(120)
    assert [name for name, _ in world.reports] == ["backup-failed", "backup-overdue"]
    assert world.reports[1][1] == "the last good backup is 72 hours old"


def test_a_place_that_is_unreadable_at_startup_is_tried_again():
    """Existing backups aren't repeated."""
    world = World(place=[START])
    world.unreadable = "gone"
    world.live(HOUR)
    assert len(world.reports) == 4
    world.unreadable = None
    world.live(HOUR)
    assert world.taken_s == []


def test_a_bug_does_not_stop_the_schedule():
    """It is reported like a failure."""
    world = World()
    world.take = lambda: 1 / 0
    world.restart()
    world.live(120)
    assert world.reports == [("backup-failed", "division by zero")]


def test_the_next_time_of_day_is_after_now():
    """Not now."""
    at_three = START.replace(hour=3)
    assert next_at(at_three, THREE) == at_three + timedelta(days=1)
    assert next_at(at_three - timedelta(seconds=1), THREE) == at_three


def test_a_backup_that_disappears_is_reported_and_replaced_within_an_hour():
    """However the wall clock jumps; a backup that only the clock puts into the future hasn't disappeared."""
    world = World()
    world.live(5 * HOUR)
    world.jump(-400 * DAY)
    world.live(2 * HOUR)
    assert world.reports == []
    world.place.pop()
    world.live(1.1 * HOUR)
    assert [name for name, _ in world.reports] == ["backup-missing", "backup-recovered"]
    assert len(world.taken_s) == 2
    world.live(DAY)
    assert len(world.reports) == 2


def test_a_place_that_is_unreadable_between_two_backups_is_not_taken_for_empty():
    """It is tried again in an hour."""
    world = World()
    world.live(5 * HOUR)
    world.unreadable = "gone"
    world.live(5 * HOUR)
    world.unreadable = None
    world.live(2 * HOUR)
    assert world.reports == []
    assert len(world.taken_s) == 1


def test_overdue_is_reported_during_a_backup_that_does_not_end():
    """But one that makes up for a missed day has a quarter of an hour."""
    world = World(place=[START - timedelta(days=2)])
    take = world.take

    def slowly() -> None:
        for _ in range(20):
            world.steady_s += 60
            world.schedule.working()
            reported.append(len(world.reports))
        take()

    reported: list[int] = []
    world.take = slowly
    world.restart()
    world.schedule.tick()
    assert reported == [0] * 14 + [1] * 6
    assert [name for name, _ in world.reports] == ["backup-overdue", "backup-recovered"]


def test_a_process_that_leaves_backups_to_another_still_reports_overdue_ones():
    """The other may be suspended; a backup that it takes later counts within minutes."""
    world = World(place=[START])

    def live(hours: float) -> None:
        for _ in range(round(hours * 60)):
            world.schedule.left_to_another()
            world.steady_s += 60
            world.wall += timedelta(minutes=1)

    live(25)
    world.jump(-5 * DAY)
    assert world.reports == []
    live(2)
    assert world.reports == [("backup-overdue", "the last good backup is 26 hours old")]
    world.place.append(world.wall)
    live(0.1)
    assert world.reports[1:] == [("backup-recovered", "another process has taken a backup")]
    assert world.taken_s == []


def test_a_blocked_schedule_reports_it_once_and_overdue_backups_too():
    """It takes none itself; those that another process takes count."""
    world = World(place=[START - timedelta(hours=9)])

    def live(hours: int) -> None:
        for _ in range(hours):
            world.schedule.blocked("no lock")
            world.live(0)
            world.steady_s += HOUR
            world.wall += timedelta(hours=1)

    live(10)
    world.place.append(world.wall)
    live(26)
    assert world.reports == [("backup-failed", "no lock")]
    live(2)
    assert world.reports[1:] == [("backup-overdue", "the last good backup is 26 hours old")]
    live(30)
    assert len(world.reports) == 2
    assert world.taken_s == []
    world.live(HOUR)
    assert world.reports[2:] == [("backup-recovered", "a backup was taken and is good")]


def test_a_blocked_schedule_recovers_when_another_process_takes_the_backups():
    """From then on the other one reports failures."""
    world = World()
    world.schedule.left_to_another()
    assert world.reports == []
    world.schedule.blocked("no lock")
    world.schedule.left_to_another()
    world.schedule.left_to_another()
    assert world.reports[1:] == [("backup-recovered", "another process takes the backups")]
