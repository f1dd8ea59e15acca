"""The API watches itself: answers, database, disk, event loop."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import time
from dataclasses import replace

import pytest

from payments_api.alerts import watch as watching
from payments_api.alerts.options import AlertOptions
from payments_api.alerts.watch import ConditionWatch, Probes, Pulse, database_trouble, disk_free_ratio, probes_of
from payments_api.ledger import create_database


class Heard:
    """Reports in order; a recovery has `None` as detail."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str | None]] = []

    def report(self, name: str, detail: str) -> None:
        self.calls.append((name, detail))

    def recovered(self, name: str) -> None:
        self.calls.append((name, None))

    def wait_for(self, calls: int) -> None:
        until_s = time.monotonic() + 10
        while len(self.calls) < calls and time.monotonic() < until_s:
            time.sleep(0.01)


class World:
    """Simulated state of everything that the watch checks, and its clock."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.counts = (0, 0)
        self.database = ""
        self.free = 0.5
        self.stall_s = 0.0
        self.heard = Heard()
        probes = Probes(lambda: self.counts, lambda: self.database, lambda: self.free, lambda: self.stall_s)
        self.watch = ConditionWatch(AlertOptions(window_s=60), probes, self.heard, clock=lambda: self.now_s)

    def after(self, seconds: float) -> list[tuple[str, str | None]]:
        """Reports of checks every five seconds for this long."""
        self.heard.calls.clear()
        for _ in range(round(seconds / 5)):
            self.now_s += 5
            self.watch.look()
        return list(self.heard.calls)


@pytest.fixture
def world():
    return World()


def test_a_healthy_api_reports_nothing(world):
    world.counts = (10_000, 100)
    assert world.after(300) == []


def test_an_unreadable_database_is_one_incident_that_ends_a_minute_after_it_is_readable(world):
    world.database = "the ledger can't be read: disk I/O error"
    assert world.after(600) == [("database-unreadable", "the ledger can't be read: disk I/O error")]
    world.database = ""
    assert world.after(50) == []
    assert world.after(10) == [("database-unreadable", None)]


def test_a_nearly_full_disk_is_an_incident(world):
    world.free = 0.0499
    assert world.after(10) == [("disk-nearly-full", "5.0% of the database's disk is free")]
    world.free = 0.05
    assert world.after(60) == [("disk-nearly-full", None)]


def test_a_stalled_loop_is_an_incident(world):
    world.stall_s = 0.99
    assert world.after(10) == []
    world.stall_s = 1.0
    assert world.after(10) == [("event-loop-stalled", "the event loop stalled for 1.0 s")]


def test_too_many_5xx_answers_are_an_incident(world):
    world.after(5)
    world.counts = (100, 10)
    assert world.after(60) == [("server-errors", "10 of 100 answers in 5 s were 5xx (10%)")]
    world.counts = (200, 10)
    assert world.after(120) == [("server-errors", None)]


def test_simultaneous_incidents_are_each_reported(world):
    world.database, world.free = "broken", 0.0
    assert [name for name, _ in world.after(30)] == ["database-unreadable", "disk-nearly-full"]


def test_a_broken_database_is_detected(tmp_path):
    """Its table or the whole file may be gone, or it may not be a database."""
    path = tmp_path / "ledger ü?.sqlite3"
    create_database(str(path), 2)
    assert database_trouble(path) == ""
    with sqlite3.connect(path) as connection:
        connection.execute("ALTER TABLE accounts RENAME TO gone")
    connection.close()
    assert database_trouble(path) == "the ledger can't be read: no such table: accounts"
    path.write_bytes(b"no database at all, but long enough to be looked at" * 100)
    assert database_trouble(path) == "the ledger can't be read: file is not a database"
    path.unlink()
    assert "unable to open" in database_trouble(path)
    assert not path.exists()


def test_a_database_being_written_to_is_readable(tmp_path):
    path = tmp_path / "ledger.sqlite3"
    create_database(str(path), 2)
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("UPDATE accounts SET balance = 0")
    began_s = time.monotonic()
    assert database_trouble(path) == ""
    assert time.monotonic() - began_s < 0.5
    writer.close()


def test_the_free_share_of_the_disk_is_the_systems(tmp_path):
    usage = shutil.disk_usage(tmp_path)
    assert disk_free_ratio(tmp_path) == pytest.approx(usage.free / usage.total, abs=0.01)
    assert disk_free_ratio(tmp_path / "none") == 1.0


@pytest.mark.slow
def test_the_pulse_measures_how_long_the_event_loop_stalled():
    """On the real clock, while a call blocks the loop."""

    async def stall() -> float:
        pulse = Pulse()
        beating = asyncio.create_task(pulse.beat())
        await asyncio.sleep(0.3)
        pulse.take_worst_s()
        time.sleep(0.8)  # noqa: ASYNC251 - this is the stall
        worst_s = pulse.take_worst_s()
        beating.cancel()
        return worst_s

    assert asyncio.run(stall()) > 0.4


def test_the_pulse_reports_a_stall_that_is_over():
    times_s = iter([0.0, 0.25, 3.25, 3.5, 3.5, 3.5])
    pulse = Pulse(clock=lambda: next(times_s))
    for _ in range(3):
        pulse.note()
    assert pulse.take_worst_s() == pytest.approx(2.75)
    assert pulse.take_worst_s() == 0.0


def test_a_failed_look_does_not_stop_the_watch(caplog):
    """An application's own counts may raise."""
    looks, heard = [], Heard()

    def counts() -> tuple[int, int]:
        looks.append(1)
        if len(looks) == 1:
            raise KeyError("not counted yet")
        return 0, 0

    watch = ConditionWatch(AlertOptions(window_s=0.1), Probes(counts, lambda: "gone", lambda: 1.0, lambda: 0.0), heard)
    watch.start()
    heard.wait_for(1)
    watch.stop()
    assert heard.calls == [("database-unreadable", "gone")]
    assert "not counted yet" in caplog.text


def test_a_hanging_file_system_is_an_incident_and_hides_no_other(tmp_path, monkeypatch):
    """Opening a pipe without a writer hangs, like a file on a dead mount."""
    monkeypatch.setattr(watching, "_HANGS_S", 0.1)
    path, heard, stalls_s = tmp_path / "ledger.sqlite3", Heard(), iter([0.0, 2.0])
    os.mkfifo(path)
    probes = replace(probes_of(str(path), lambda: (0, 0), Pulse()), worst_stall_s=lambda: next(stalls_s, 0.0))
    watch = ConditionWatch(AlertOptions(window_s=0.5), probes, heard)
    watch.start()
    heard.wait_for(2)
    began = list(heard.calls)
    os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK))
    path.unlink()
    create_database(str(path), 2)
    heard.wait_for(4)
    watch.stop()
    assert began == [
        ("database-unreadable", "the ledger can't be read: no answer for 0.1 s"),
        ("event-loop-stalled", "the event loop stalled for 2.0 s"),
    ]
    assert sorted(heard.calls[2:]) == [("database-unreadable", None), ("event-loop-stalled", None)]
