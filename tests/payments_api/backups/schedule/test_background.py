"""The API backs itself up: at startup if a day was missed, and only once however many workers there are."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest
from prometheus_client import CollectorRegistry

from drills.target import running_target
from payments_api.backups.metrics import BackupMetrics
from payments_api.backups.mistakes import BackupError
from payments_api.backups.options import BackupOptions
from payments_api.backups.schedule import background, schedule
from payments_api.backups.schedule.background import backups_of
from payments_api.backups.storage.retention import Keep
from tests.payments_api.backups.books import back_up, names, new_ledger, payload
from tests.waiting import eventually


def options(place: Path | str, timeout_s: int = 60) -> BackupOptions:
    return BackupOptions(str(place), 0, Keep(14, 8, 12), timeout_s)


def looking(seen: list[list[object]]) -> Callable[[background._Background], list[object]]:
    """`_good_backups` as usual, but it appends each result to `seen`."""
    look = background._Background._good_backups

    def look_and_tell(self: background._Background) -> list[object]:
        seen.append(look(self))
        return seen[-1]

    return look_and_tell


@pytest.fixture
def reports() -> list[tuple[str, str]]:
    return []


@pytest.fixture
def hear(reports) -> Callable[[str, str], None]:
    return lambda name, detail: reports.append((name, detail))


STEP_BACK = background.step_back


@pytest.fixture(autouse=True)
def stepped_back(monkeypatch) -> list[int]:
    """Processes whose priority would be lowered; it isn't, because on a busy machine they would take minutes."""
    processes: list[int] = []
    monkeypatch.setattr(background, "step_back", processes.append)
    return processes


@pytest.mark.process
def test_a_backup_process_has_the_lowest_cpu_and_disk_priority():
    """Requests go first."""
    with subprocess.Popen(["sleep", "100"]) as process:
        STEP_BACK(process.pid)
        told = psutil.Process(process.pid)
        priorities = (told.nice(), told.ionice().ioclass)
        process.kill()
    assert priorities == (19, psutil.IOPRIO_CLASS_IDLE)


def test_without_options_there_is_no_thread_and_no_file(ledger):
    """As in everyone's first run."""
    before = sorted(ledger.parent.iterdir())
    with backups_of(str(ledger), None):
        assert "backups" not in [thread.name for thread in background.threading.enumerate()]
    assert sorted(ledger.parent.iterdir()) == before


@pytest.mark.process
def test_a_missed_backup_is_taken_at_startup_and_a_restart_takes_no_other(
    ledger, place, hear, reports, stepped_back, monkeypatch
):
    """By low-priority processes: one to look, one to take the backup."""
    back_up(ledger, place, now=lambda: datetime.now(UTC) - timedelta(days=2))
    with backups_of(str(ledger), options(place), hear):
        eventually(lambda: len(names(place)) == 2)
    assert len(stepped_back) == 2
    monkeypatch.setattr(background, "_TICK_S", 0.01)
    looked = []
    monkeypatch.setattr(background._Background, "_good_backups", looking(looked))
    with backups_of(str(ledger), options(place), hear):
        eventually(lambda: looked)
        time.sleep(0.2)
    assert len(looked[0]) == len(names(place)) == 2
    assert reports == []


@pytest.mark.process
def test_a_failure_is_reported_with_the_message_of_the_command(ledger, place, hear, reports):
    """A missing place, and then a missing database."""
    gone = place / "gone"
    with backups_of(str(ledger), options(gone), hear):
        eventually(lambda: reports)
    assert reports == [
        ("backup-failed", f"BACKUP_TO: no such directory, got '{gone}'; make it, or mount what it is on")
    ]
    reports.clear()
    ledger.rename(ledger.with_name("moved"))
    with backups_of(str(ledger), options(place), hear):
        eventually(lambda: reports)
    assert reports == [
        ("backup-failed", f"{ledger}: there is no such database; name the SQLite file that the API serves")
    ]


@pytest.mark.slow
def test_a_hanging_process_is_killed(ledger, place, hear, reports, monkeypatch):
    """Even if it ignores its own deadline."""
    monkeypatch.setattr(background.sys, "executable", "/bin/cat")
    monkeypatch.setattr(background, "_STOP_S", 0.3)
    popen = background.subprocess.Popen
    started = []

    def hanging(_command, **options):
        started.append(popen(["sleep", "100"], **options))
        return started[-1]

    monkeypatch.setattr(background.subprocess, "Popen", hanging)
    with backups_of(str(ledger), options(place, timeout_s=0), hear):
        eventually(lambda: reports)
    assert started[0].poll() == -signal.SIGKILL
    name, told = reports[0]
    assert name == "backup-failed"
    assert told.startswith("backups: not finished in time, got 0 s, and its process had to be killed; see what is slow")


@pytest.mark.process
def test_a_hanging_place_is_reported_becomes_overdue_and_does_not_delay_the_stop(
    ledger, hung_place, hear, reports, monkeypatch
):
    """Even while it is being looked at; only another process touches it."""
    monkeypatch.setattr(schedule, "_PATIENCE_S", 0.1)
    monkeypatch.setattr(schedule, "OVERDUE_S", 0.5)
    with backups_of(str(ledger), options(hung_place), hear):
        eventually(lambda: reports)
        began_s = time.monotonic()
    assert time.monotonic() - began_s < 2
    assert reports == [("backup-overdue", "the last good backup is 0 hours old")]
    reports.clear()
    with backups_of(str(ledger), options(hung_place, timeout_s=2), hear):
        eventually(lambda: "backup-failed" in dict(reports))
    assert dict(reports)["backup-failed"] == (
        f"backups: not finished in time, got 2 s while looking for them in {hung_place}; "
        "see whether it is mounted and answers"
    )


@pytest.mark.process
def test_the_api_starts_serves_and_stops_with_a_hanging_place(tmp_path, hung_place, capfd):
    """Payments continue; the failure is reported and counted."""
    settings = {"DATABASE": str(tmp_path / "ledger.sqlite3"), "BACKUP_TO": str(hung_place), "BACKUP_TIMEOUT_S": "1"}
    with running_target(**settings) as target:
        assert target.pay().status_code == 201
        eventually(lambda: target.metric("backup_failures_total") == 1)
        assert target.pay().status_code == 201
        began_s = time.monotonic()
    assert time.monotonic() - began_s < 5
    log = capfd.readouterr().err
    assert re.search(r"^incident: backup-failed: backups: not finished in time, got 1 s", log, re.MULTILINE)


@pytest.mark.long
@pytest.mark.process
def test_a_backup_that_loses_its_payload_is_reported_missing_and_replaced(ledger, place, hear, reports, monkeypatch):
    """At the next look."""
    monkeypatch.setattr(background, "_TICK_S", 0.05)
    monkeypatch.setattr(schedule, "_LOOK_EVERY_S", 0.1)
    found = []
    monkeypatch.setattr(background._Background, "_good_backups", looking(found))

    with backups_of(str(ledger), options(place), hear):
        eventually(lambda: any(found))
        payload(place, names(place)[0]).unlink()
        eventually(lambda: len(names(place)) == 2)
        eventually(lambda: "backup-recovered" in dict(reports))
    assert reports == [
        ("backup-missing", "the latest good backup is no longer there; taking another"),
        ("backup-recovered", "a backup was taken and is good"),
    ]


def test_a_report_function_that_raises_does_not_stop_the_schedule(ledger, place, monkeypatch, capfd):
    """Backups are tried again."""
    monkeypatch.setattr(background, "_TICK_S", 0.02)
    monkeypatch.setattr(schedule, "_FIRST_RETRY_S", 0.02)
    tried = []

    def fail(_: object) -> None:
        tried.append(1)
        raise BackupError("place", "gone", "see to it")

    monkeypatch.setattr(background._Background, "_good_backups", fail)
    with backups_of(str(ledger), options(place), lambda *_: 1 / 0):
        eventually(lambda: len(tried) > 2)
    assert "backup-failed: place: gone; see to it (not reported: ZeroDivisionError(" in capfd.readouterr().err


@pytest.mark.slow
def test_stopping_the_api_stops_a_backup_at_once(ledger, place, hear, reports, monkeypatch):
    """That is no failure: the next backup cleans up."""
    popen = background.subprocess.Popen
    started = []

    def hanging(_command, **options):
        started.append(popen(["sleep", "100"], **options))
        return started[-1]

    monkeypatch.setattr(background.subprocess, "Popen", hanging)
    began_s = time.monotonic()
    with backups_of(str(ledger), options(place), hear):
        eventually(lambda: started)
    assert time.monotonic() - began_s < 5
    assert started[0].poll() == -signal.SIGKILL
    assert reports == []


@pytest.mark.long
@pytest.mark.process
def test_two_workers_take_one_backup_and_a_restart_takes_no_other(tmp_path, place):
    """Both serve meanwhile; one of them holds the schedule's lock."""
    database = tmp_path / "ledger.sqlite3"
    settings = {"DATABASE": str(database), "BACKUP_TO": str(place), "LIMITER": "off", "WORKERS": "2"}
    with running_target(**settings) as target:
        assert target.pay().status_code == 201
        eventually(lambda: names(place))
        time.sleep(1)
        assert len(names(place)) == 1
        locks = [path.name for path in tmp_path.glob(".*lock")]
        assert sorted(locks) == [".ledger.sqlite3.backup-lock", ".ledger.sqlite3.schedule-lock"]
    holder = int((tmp_path / ".ledger.sqlite3.schedule-lock").read_text())
    with running_target(**settings) as target:
        assert target.pay().status_code == 201
        eventually(lambda: int((tmp_path / ".ledger.sqlite3.schedule-lock").read_text()) != holder)
        time.sleep(1)
        assert len(names(place)) == 1


@pytest.mark.slow
def test_only_one_of_two_schedules_on_a_database_works(ledger, place, hear, reports, monkeypatch):
    """Until it stops: then the other one does."""
    monkeypatch.setattr(background, "_TICK_S", 0.02)
    taken = []
    monkeypatch.setattr(background._Background, "_take", lambda self: taken.append(self.__class__))
    with backups_of(str(ledger), options(place), hear):
        eventually(lambda: taken)
        with backups_of(str(ledger), options(place), hear):
            time.sleep(0.3)
            assert len(taken) == 1
    with backups_of(str(ledger), options(place), hear):
        eventually(lambda: len(taken) == 2)
    assert reports == []


def test_the_warning_of_a_good_backup_is_passed_on_once(ledger, place, hear, reports, monkeypatch, capfd):
    """Such as a place on the database's own disk; a different warning is passed on again."""
    popen = background.subprocess.Popen
    said = ["on the same disk", "on the same disk", "on the same disk\nslow"]

    def warning(_command, **options):
        return popen(["sh", "-c", 'printf "%s\\n" "$1" >&2', "sh", said.pop(0)], **options)

    monkeypatch.setattr(background.subprocess, "Popen", warning)
    work = background._Background(ledger, options(place), hear)
    for _ in range(3):
        work._take()
    assert capfd.readouterr().err == "payments_api: backup: on the same disk\npayments_api: backup: slow\n"
    assert reports == []


@pytest.mark.slow
def test_metrics_show_the_newest_good_backup_the_last_success_and_failures(ledger, place, hear, monkeypatch):
    """The newest one even if it existed before; one from the future doesn't count."""
    registry = CollectorRegistry()
    value = registry.get_sample_value
    metrics = BackupMetrics(registry)
    run = background._Background._run_apart
    monkeypatch.setattr(
        background._Background,
        "_run_apart",
        lambda self, *module, timeout_s: [] if module[-1] == "backup" else run(self, *module, timeout_s=timeout_s),
    )
    before = datetime.now(UTC) - timedelta(days=3)
    with backups_of(str(ledger), options(place / "gone"), hear, metrics=metrics):
        eventually(lambda: value("backup_failures_total") == 1)
    assert value("backup_newest_good_timestamp_seconds") == 0
    assert value("backup_enabled") == 1
    back_up(ledger, place, now=lambda: before)
    back_up(ledger, place, now=lambda: before + timedelta(days=900))
    work = background._Background(ledger, options(place), hear, metrics)
    work._good_backups()
    assert value("backup_newest_good_timestamp_seconds") == pytest.approx(before.timestamp())
    assert value("backup_last_success_timestamp_seconds") == 0
    began_s = time.time()
    with backups_of(str(ledger), options(place), hear, metrics=metrics):
        eventually(lambda: value("backup_last_success_timestamp_seconds"))
    assert value("backup_last_success_timestamp_seconds") >= value("backup_newest_good_timestamp_seconds") >= began_s
    assert value("backup_failures_total") == 1


@pytest.mark.slow
def test_a_lock_that_cannot_be_taken_is_reported_once_and_backups_begin_when_it_can(
    ledger, place, hear, reports, monkeypatch
):
    """Something else is where the lock file should be."""
    monkeypatch.setattr(background, "_TICK_S", 0.02)
    taken = []
    monkeypatch.setattr(background._Background, "_take", lambda _: taken.append(1))
    lock = ledger.with_name(".ledger.sqlite3.schedule-lock")
    lock.mkdir()
    with backups_of(str(ledger), options(place), hear):
        eventually(lambda: reports, within_s=5)
        time.sleep(0.2)
        line = f"{lock}: can't create the lock file, got Is a directory; make its directory writable"
        assert reports == [("backup-failed", line)]
        assert taken == []
        lock.rmdir()
        eventually(lambda: len(reports) == 2)
    assert taken == [1]
    assert reports[1][0] == "backup-recovered"


@pytest.mark.slow
def test_overdue_backups_are_reported_even_if_the_lock_cannot_be_taken(ledger, place, hear, reports, monkeypatch):
    """Judged by the backups in the place."""
    monkeypatch.setattr(background, "_TICK_S", 0.02)
    back_up(ledger, place, now=lambda: datetime.now(UTC) - timedelta(hours=30))
    ledger.with_name(".ledger.sqlite3.schedule-lock").mkdir()
    with backups_of(str(ledger), options(place), hear):
        eventually(lambda: len(reports) == 2, within_s=5)
    assert [name for name, _ in reports] == ["backup-failed", "backup-overdue"]


@pytest.mark.process
def test_a_failure_is_logged_to_standard_error(tmp_path, place):
    """Unless another report function is given."""
    new_ledger(tmp_path / "ledger.sqlite3")
    log = tmp_path / "log"
    with log.open("w") as stderr:
        saved = os.dup(2)
        os.dup2(stderr.fileno(), 2)
        try:
            with running_target(DATABASE=str(tmp_path / "ledger.sqlite3"), BACKUP_TO=str(place / "gone")) as target:
                eventually(lambda: "backup-failed" in log.read_text())
                assert target.balance("acct-000001") == 1_000_005
        finally:
            os.dup2(saved, 2)
            os.close(saved)
    assert re.search(
        r"^incident: backup-failed: BACKUP_TO: no such directory, got '.*/gone'",
        log.read_text(),
        re.MULTILINE,
    )
    assert log.read_text().count("backup-failed") == 1
