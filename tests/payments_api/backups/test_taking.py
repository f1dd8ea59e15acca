"""A backup during writes: it ends, is consistent, and contains everything that was acknowledged before it."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from payments_api.backups import restoring, taking
from payments_api.backups.disk.copying import copy_database
from payments_api.backups.disk.locking import lock_of, locked
from payments_api.backups.manifest import BackupName
from payments_api.backups.mistakes import BackupError, BusyError, UnusableError, WrongInputError
from payments_api.backups.proof.checking import check_ledger
from payments_api.backups.storage.retention import Keep
from tests.payments_api.backups.books import (
    back_up,
    changed,
    leftovers,
    names,
    new_ledger,
    pay,
    payload,
    restore_unproved,
    transactions,
)


@contextmanager
def steady_writes(database: Path) -> Iterator[list[int]]:
    """Make payments without a pause; yields a list that gets the number of each acknowledged one."""
    acknowledged, stopping = [0], threading.Event()

    def write() -> None:
        while not stopping.is_set():
            pay(database, range(acknowledged[0] + 1000, acknowledged[0] + 1005))
            acknowledged[0] += 5

    thread = threading.Thread(target=write)
    thread.start()
    try:
        while not acknowledged[0] and thread.is_alive():
            time.sleep(0.01)
        yield acknowledged
    finally:
        stopping.set()
        thread.join()


@pytest.mark.slow
def test_a_copy_under_steady_writes_ends_and_its_books_balance(ledger, tmp_path):
    """Several copies, each with everything that was acknowledged before it."""
    with steady_writes(ledger) as acknowledged:
        began = acknowledged[0]
        for number in range(1000):
            before = acknowledged[0]
            if before >= began + 25:
                break
            copy = tmp_path / f"copy-{number}.sqlite3"
            copy_database(ledger, copy)
            assert check_ledger(copy, name="copy")["transactions"] >= 5 + before
        assert before >= began + 25


WRITER = """
import sqlite3, sys, time
writer, number = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30), 0
writer.execute("PRAGMA synchronous=OFF")
end_s = time.monotonic() + 15
while time.monotonic() < end_s:
    writer.execute("INSERT INTO webhook_events VALUES ('standard', ?, 'now', x'00')", (number,))
    number += 1
    number == 1 and print("writing", flush=True)
"""


@pytest.mark.process
def test_a_copy_of_many_pages_ends_while_another_process_writes_all_the_time(ledger, tmp_path):
    """If it were made in steps, each write would restart it."""
    with changed(ledger) as database:
        database.execute("INSERT INTO webhook_events VALUES ('standard', 'large', 'now', ?)", (bytes(20_000_000),))
    with subprocess.Popen([sys.executable, "-c", WRITER, ledger], stdout=subprocess.PIPE) as writer:
        try:
            assert writer.stdout.readline() == b"writing\n"
            copy_database(ledger, tmp_path / "copy.sqlite3")
            assert writer.poll() is None
        finally:
            writer.kill()
    assert check_ledger(tmp_path / "copy.sqlite3", name="copy")["webhook_events"] >= 2


def test_a_copy_contains_what_a_killed_process_left_in_the_log(ledger, tmp_path):
    """The write-ahead log is part of the database; neither file changes."""
    killed = tmp_path / "killed"
    killed.mkdir()
    writer = sqlite3.connect(ledger, isolation_level=None)
    writer.execute("PRAGMA wal_autocheckpoint=0")
    writer.execute("INSERT INTO webhook_events VALUES ('standard', 'in the log', 'now', x'00')")
    for file in ledger.parent.glob("ledger.sqlite3*"):
        shutil.copy(file, killed)
    writer.close()
    log = killed / "ledger.sqlite3-wal"
    before = (killed / "ledger.sqlite3").read_bytes(), log.read_bytes()
    copy_database(killed / "ledger.sqlite3", tmp_path / "copy.sqlite3")
    assert check_ledger(tmp_path / "copy.sqlite3", name="copy")["webhook_events"] == 1
    assert ((killed / "ledger.sqlite3").read_bytes(), log.read_bytes()) == before


def test_a_backup_contains_everything_acknowledged_before_its_time(ledger, place, monkeypatch):
    """The time is read before the copy is made."""
    calls = []
    monkeypatch.setattr(taking, "copy_database", lambda *paths: (calls.append("copied"), copy_database(*paths)))
    back_up(ledger, place, now=lambda: (calls.append("time"), datetime.now(UTC))[1])
    assert calls == ["time", "copied"]


def test_a_backup_is_two_files_and_nothing_else_is_left(ledger, place):
    """And it restores the same contents."""
    taken = back_up(ledger, place)
    assert sorted(path.name for path in place.glob("[!.]*")) == [
        f"{taken.manifest.name}.json",
        f"{taken.manifest.name}.sqlite3.gz",
    ]
    assert leftovers(ledger.parent) == leftovers(place) == []
    restored = place.parent / "restored.sqlite3"
    assert restore_unproved(place, restored) == taken.manifest.name
    assert transactions(restored) == transactions(ledger)
    assert taken.manifest.contents["transactions"] == 5
    assert taken.manifest.contents["idempotency"] == 6


def test_a_backup_without_its_payload_does_not_displace_a_good_one(ledger, place):
    """Retention counts those that can be restored; remains of others are deleted once they are old."""
    ones = [back_up(ledger, place, keep=Keep(1, 0, 0)).manifest.name for _ in range(3)]
    for name in ones[1:]:
        payload(place, name).unlink()
    ones.append(back_up(ledger, place, keep=Keep(1, 0, 0)).manifest.name)
    assert set(names(place)) == set(ones)
    ones += [back_up(ledger, place, keep=Keep(1, 0, 0)).manifest.name for _ in range(3)]
    assert set(names(place)) == set(ones[-3:])


def test_a_missing_database_is_not_created(tmp_path, place):
    """It is invalid input."""
    with pytest.raises(WrongInputError, match="there is no such database; name the SQLite file"):
        back_up(tmp_path / "none.sqlite3", place)
    assert not (tmp_path / "none.sqlite3").exists()


def test_a_file_that_is_no_ledger_is_not_backed_up(tmp_path, place):
    """Another kind of file, or another application's database; good backups stay."""
    (tmp_path / "text.sqlite3").write_text("no database " * 100)
    with pytest.raises(BackupError, match="can't be copied, got file is not a database"):
        back_up(tmp_path / "text.sqlite3", place)
    with changed(tmp_path / "other.sqlite3") as database:
        database.execute("CREATE TABLE notes (text TEXT)")
    with pytest.raises(UnusableError, match="is not a complete ledger, got no such table"):
        back_up(tmp_path / "other.sqlite3", place)
    assert names(place) == []


def test_books_that_do_not_balance_make_no_backup_and_delete_none(ledger, place):
    """The last good backup is worth more than a new bad one."""
    good = back_up(ledger, place, keep=Keep(1, 0, 0)).manifest.name
    with changed(ledger) as database:
        database.execute("UPDATE accounts SET balance = balance + 1 WHERE id = 'acct-000002'")
    with pytest.raises(UnusableError, match=r"the copy of .*: a balance is not the opening balance"):
        back_up(ledger, place, keep=Keep(1, 0, 0))
    assert names(place) == [good]
    assert leftovers(ledger.parent) == []


def test_a_second_backup_at_the_same_time_is_refused_with_the_first_ones_process(ledger, place):
    """Afterwards the next one works."""
    with locked(lock_of(ledger)), pytest.raises(BusyError, match=f"running here, got process {os.getpid()}; wait"):
        back_up(ledger, place)
    back_up(ledger, place)


def test_without_room_to_copy_nothing_is_copied(ledger, place, monkeypatch):
    """The live database needs the disk more than we do."""
    monkeypatch.setattr(taking, "shutil", SimpleNamespace(disk_usage=lambda _: SimpleNamespace(free=17_000_000)))
    back_up(ledger, place)
    monkeypatch.setattr(taking, "shutil", SimpleNamespace(disk_usage=lambda _: SimpleNamespace(free=16_777_215)))
    with pytest.raises(BackupError, match=r"leave 16 MiB: .* bytes needed, got 16777215 free; free some space"):
        back_up(ledger, place)
    assert len(names(place)) == 1
    assert leftovers(ledger.parent) == []


@pytest.mark.slow
def test_old_backups_are_deleted_and_other_files_stay(ledger, place):
    """Somebody's notes, other ledgers' backups, and files that only look alike."""
    other = new_ledger(ledger.parent / "other.sqlite3")
    now = datetime(2026, 3, 1, 3, tzinfo=UTC)
    back_up(other, place, now=lambda: now - timedelta(days=900))
    (place / "notes.txt").touch()
    (place / "ledger-20260101T030000.000Z-nothex00.json").touch()
    for day in range(8):
        taken = back_up(ledger, place, keep=Keep(5, 0, 0), now=lambda day=day: now + timedelta(days=day))
    assert taken.deleted == 1
    kept = [name for name in names(place) if name.startswith("ledger-")]
    days = [f"{BackupName.parse(name).taken_at:%Y%m%d}" for name in kept]
    assert days == ["20260308", "20260307", "20260306", "20260305", "20260304"]
    assert all(payload(place, name).exists() for name in kept)
    assert len(list(place.glob("[!.]*"))) == 2 * 5 + 2 + 2
    assert len([name for name in names(place) if name.startswith("other-")]) == 1


def test_leftovers_of_a_killed_backup_are_deleted_by_the_next(ledger, place):
    """A partial file, and a payload without its manifest."""
    now = datetime(2026, 1, 1, 3, 0, 1, tzinfo=UTC)
    (place / ".partial-ledger-20260101T030000.000Z-00000000.sqlite3.gz").touch()
    payload(place, "ledger-20260101T030000.000Z-00000000").touch()
    name = back_up(ledger, place, now=lambda: now).manifest.name
    assert {path.name for path in place.iterdir()} == {".backup-lock", f"{name}.json", f"{name}.sqlite3.gz"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act for others")
def test_files_created_by_root_belong_to_the_user_of_the_api(ledger, place):
    """A manual backup in a container's console must not keep the API from its next one."""
    for directory in (ledger.parent, place):
        os.chown(directory, 10_001, 10_002)
    back_up(ledger, place)
    restore_unproved(place, ledger.parent / "restored.sqlite3")
    made = [*place.iterdir(), *ledger.parent.glob(".*lock"), ledger.parent / "restored.sqlite3"]
    assert len(made) == 6
    assert {(path.stat().st_uid, path.stat().st_gid) for path in made} == {(10_001, 10_002)}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act for others")
def test_a_restored_file_belongs_to_the_user_of_the_api_before_it_has_its_name(ledger, place, monkeypatch):
    """If the restore is killed in between, the API must still be able to serve it."""
    os.chown(ledger.parent, 10_001, 10_002)
    back_up(ledger, place)
    owners = []
    monkeypatch.setattr(os, "link", lambda file, _: owners.append((file.stat().st_uid, file.stat().st_gid)))
    monkeypatch.setattr(restoring, "sync", lambda _: None)
    restore_unproved(place, ledger.parent / "restored.sqlite3")
    assert owners == [(10_001, 10_002)]


def test_other_users_cannot_read_a_backup(ledger, place):
    """Whatever the umask."""
    back_up(ledger, place)
    assert {path.stat().st_mode & 0o777 for path in place.iterdir()} == {0o600}


def test_a_place_on_the_databases_own_disk_is_reported(ledger, place, monkeypatch):
    """It would be lost with the database."""
    assert back_up(ledger, place).same_disk
    elsewhere = Path("/dev/shm")  # noqa: S108 - a second file system on every Linux
    assert elsewhere.stat().st_dev != ledger.stat().st_dev
    place = taking_place(elsewhere)
    assert not back_up(ledger, place).same_disk
    shutil.rmtree(place)


def taking_place(parent: Path) -> Path:
    path = parent / f"loadproof-test-{os.getpid()}"
    path.mkdir()
    return path
