"""Restores, and refusals: of damaged or newer backups, and of overwriting a database."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import requests

from drills.target import running_target
from payments_api.backups import restoring
from payments_api.backups.disk.locking import lock_of, locked
from payments_api.backups.disk.packing import hash_file, pack, unpack
from payments_api.backups.manifest import Manifest, parse_manifest
from payments_api.backups.mistakes import BackupError, BusyError, UnusableError, WrongInputError
from payments_api.backups.proof import booting
from payments_api.backups.proof.booting import prove_by_boot
from payments_api.backups.restoring import restore
from payments_api.backups.storage.places import DirectoryPlace
from tests.payments_api.backups.books import (
    back_up,
    changed,
    flip,
    leftovers,
    names,
    new_ledger,
    pay,
    payload,
    restore_unproved,
    transactions,
)


@pytest.fixture
def target(tmp_path) -> Path:
    (tmp_path / "new").mkdir()
    return tmp_path / "new/ledger.sqlite3"


def untouched(target: Path) -> bool:
    """Whether nothing but a lock was written next to the target."""
    return [path.name for path in target.parent.iterdir()] in ([], [lock_of(target).name])


def test_the_latest_or_the_named_backup_is_restored(ledger, place, target):
    """The named one lacks what was paid after it."""
    first = back_up(ledger, place).manifest.name
    early = transactions(ledger)
    pay(ledger, range(100, 103))
    back_up(
        ledger,
        place,
        now=lambda: parse_manifest((place / f"{first}.json").read_bytes(), name=first).created_at.replace(year=2099),
    )
    restore_unproved(place, target)
    assert transactions(target) == transactions(ledger)
    earlier = target.with_name("earlier.sqlite3")
    restore_unproved(place, earlier, first)
    assert transactions(earlier) == early


def test_a_database_that_was_deleted_under_the_api_is_still_in_use(ledger, place, target):
    """The API would continue with the deleted file, next to the restored one."""
    back_up(ledger, place)
    with closing(sqlite3.connect(target)) as database:
        database.execute("CREATE TABLE x (y)")
        target.unlink()
        with pytest.raises(WrongInputError, match=f"was deleted, but is still in use by process {os.getpid()}; stop"):
            restore_unproved(place, target)
    restore_unproved(place, target)


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm", "-journal"])
def test_no_file_of_a_database_may_exist(ledger, place, target, suffix):
    """A leftover log would be replayed into the restored one."""
    back_up(ledger, place)
    there = target.with_name(target.name + suffix)
    there.touch()
    with pytest.raises(WrongInputError, match=f"^{re.escape(str(there))}: already exists; stop the API, and move"):
        restore_unproved(place, target)
    assert there.read_bytes() == b""
    assert [path.name for path in target.parent.iterdir()] == [there.name]


def test_a_database_in_use_is_reported_with_its_process(ledger, place):
    """And stays in use."""
    back_up(ledger, place)
    with closing(sqlite3.connect(ledger)) as live:
        live.execute("SELECT COUNT(*) FROM accounts").fetchone()
        with pytest.raises(WrongInputError, match=f"ledger.sqlite3: is in use by process {os.getpid()}; stop the API"):
            restore_unproved(place, ledger)


def test_a_database_created_meanwhile_is_not_overwritten(ledger, place, target):
    """Even at the last moment."""
    back_up(ledger, place)

    def meanwhile(_: Path) -> str:
        target.write_text("somebody's")
        return ""

    with pytest.raises(WrongInputError, match="already exists"):
        restore(DirectoryPlace(place), target, None, prove=meanwhile)
    assert target.read_text() == "somebody's"
    target.unlink()
    (target.parent / "file").touch()
    target.write_text("somebody's")
    with pytest.raises(WrongInputError, match="was created meanwhile; restore to another path"):
        restoring._give_name(target.parent / "file", target)
    assert target.read_text() == "somebody's"


def test_a_name_that_cannot_be_flushed_to_disk_is_taken_back(ledger, place, target, monkeypatch):
    """It says so, rather than that links are missing, and nothing has changed."""
    back_up(ledger, place)

    def sync(path):
        if path == target.parent:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(restoring, "sync", sync)
    with pytest.raises(BackupError, match="can't be flushed to disk"):
        restore_unproved(place, target)
    assert untouched(target)


def test_a_second_restore_at_the_same_time_is_refused(ledger, place, target):
    """With the process that is running the first."""
    back_up(ledger, place)
    with locked(lock_of(target)), pytest.raises(BusyError, match="another backup or restore is running here"):
        restore_unproved(place, target)
    assert untouched(target)


def test_a_missing_backup_or_directory_is_reported(ledger, place, target):
    """No backups, no such backup, several ledgers, no directory."""
    with pytest.raises(WrongInputError, match="place: there are no backups; name the destination"):
        restore_unproved(place, target)
    name = back_up(ledger, place).manifest.name
    with pytest.raises(WrongInputError, match=f"'other': no such backup in {place}; there are: {name}"):
        restore_unproved(place, target, "other")
    with pytest.raises(WrongInputError, match=r"new2/ledger.sqlite3: its directory doesn't exist; create it first"):
        restore_unproved(place, target.parent.parent / "new2/ledger.sqlite3")
    back_up(new_ledger(ledger.parent / "other.sqlite3"), place)
    with pytest.raises(WrongInputError, match=r"several databases, got ledger .*, other .*; name the backup"):
        restore_unproved(place, target)
    assert untouched(target)


def damage_bit(place: Path, name: str) -> None:
    flip(payload(place, name), payload(place, name).stat().st_size // 2)


def damage_end(place: Path, name: str) -> None:
    text = payload(place, name).read_bytes()
    payload(place, name).write_bytes(text[:-1])


def damage_payload_gone(place: Path, name: str) -> None:
    payload(place, name).unlink()


def damage_manifest_gone(place: Path, name: str) -> None:
    (place / f"{name}.json").unlink()


def damage_manifest_bit(place: Path, name: str) -> None:
    text = (place / f"{name}.json").read_text()
    (place / f"{name}.json").write_text(re.sub(r'"transactions": \d+', '"transactions": 999', text))


def damage_manifest_torn(place: Path, name: str) -> None:
    text = (place / f"{name}.json").read_text()
    (place / f"{name}.json").write_text(text[: len(text) // 2])


def damage_manifest_of_another(place: Path, name: str) -> None:
    shutil.copy(place / f"{names(place)[1]}.json", place / f"{name}.json")


def damage_payload_of_another(place: Path, name: str) -> None:
    shutil.copy(payload(place, names(place)[1]), payload(place, name))


def rewrite(place: Path, name: str, **changes: object) -> None:
    """Change the manifest as another program would, with a correct hash."""
    path = place / f"{name}.json"
    manifest = parse_manifest(path.read_bytes(), name=name)
    path.write_bytes(manifest.model_copy(update=changes).to_bytes())


def damage_database(place: Path, name: str) -> None:
    """A properly packed and hashed database whose books don't balance."""
    file = place / "made.sqlite3"
    restore_unproved(place, file, name)
    with changed(file) as database:
        database.execute("UPDATE accounts SET balance = balance + 1 WHERE id = 'acct-000002'")
        database.execute("PRAGMA journal_mode=DELETE")
    pack(file, payload(place, name))
    rewrite(place, name, database=hash_file(file), payload=hash_file(payload(place, name)))
    for left in place.glob("*made*"):
        left.unlink()


def damage_counts(place: Path, name: str) -> None:
    """An intact manifest of an intact database, but with other counts."""
    contents = parse_manifest((place / f"{name}.json").read_bytes(), name=name).contents
    rewrite(place, name, contents=contents | {"transactions": contents["transactions"] + 1})


DAMAGES = {
    damage_counts: "has other contents than its manifest says; restore another backup",
    damage_bit: "is damaged, got a different SHA-256 than its manifest says",
    damage_end: r"is damaged, got \d+ bytes instead of \d+",
    damage_payload_gone: r"its file \S+.sqlite3.gz is missing in",
    damage_manifest_bit: "its manifest is damaged: its own hash doesn't match",
    damage_manifest_torn: "its manifest can't be read",
    damage_manifest_of_another: "its manifest is another backup's, got 'ledger-",
    damage_payload_of_another: "is damaged, got ",
    damage_database: "a balance is not the opening balance plus its postings, got acct-000002",
    lambda place, name: rewrite(
        place, name, schema_version=2
    ): "has a schema newer than 1, got 2; use the version that",
    lambda place, name: rewrite(
        place, name, format=2
    ): "its format is newer than 1, got 2; use the version that created it",
}


@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_backup_is_refused_and_good_ones_are_named(ledger, place, target, damage):
    """Before anything is written to the new path; and a good one that is named can be restored."""
    good = back_up(ledger, place).manifest
    pay(ledger, range(100, 103))
    name = back_up(ledger, place, now=lambda: good.created_at.replace(year=2099)).manifest.name
    damage(place, name)
    with pytest.raises(UnusableError, match=f"^{name}: {DAMAGES[damage]}.*; good ones: {good.name}$"):
        restore_unproved(place, target)
    assert untouched(target)
    assert restore_unproved(place, target, good.name) == good.name


def test_a_backup_without_its_manifest_does_not_count(ledger, place, target):
    """It may be incomplete: the previous one is the latest."""
    good = back_up(ledger, place).manifest
    name = back_up(ledger, place, now=lambda: good.created_at.replace(year=2099)).manifest.name
    damage_manifest_gone(place, name)
    assert restore_unproved(place, target) == good.name


def test_every_flipped_bit_of_a_manifest_is_noticed(ledger, place):
    """Unless it doesn't change the content, as in whitespace."""
    manifest = back_up(ledger, place).manifest
    text = manifest.to_bytes()
    for position in range(len(text)):
        damaged = bytearray(text)
        damaged[position] ^= 1
        try:
            assert parse_manifest(bytes(damaged), name=manifest.name) == manifest
        except UnusableError:
            continue
        assert json.loads(damaged) == json.loads(text)


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"format": "x"}', b"[" * 5000, b'{"format": 1e999}', b"\xff"])
def test_an_invalid_manifest_is_refused(text):
    """In one line."""
    with pytest.raises(UnusableError, match=r"^name: its (manifest can't be read|format is newer)"):
        parse_manifest(text, name="name")


@pytest.mark.slow
def test_unpacking_stops_at_the_size_in_the_manifest(ledger, place, target):
    """A bomb must not fill the disk."""
    name = back_up(ledger, place).manifest.name
    zeros = place / "zeros"
    with zeros.open("wb") as file:
        file.truncate(50_000_000)
    pack(zeros, payload(place, name))
    zeros.unlink()
    rewrite(place, name, payload=hash_file(payload(place, name)))
    with pytest.raises(UnusableError, match="is damaged, got another database than its manifest describes"):
        restore_unproved(place, target)
    manifest = parse_manifest((place / f"{name}.json").read_bytes(), name=name)
    with pytest.raises(UnusableError):
        unpack(payload(place, name), target, expected=manifest.database, name=name)
    assert target.stat().st_size <= manifest.database.bytes


def test_a_boot_that_changes_the_books_is_noticed(ledger, place, target):
    """The database doesn't get its name."""
    back_up(ledger, place)

    def cheat(file: Path) -> str:
        pay(file, range(100, 101))
        return ""

    with pytest.raises(BackupError, match=r"^boot: starting the API on it has changed its contents"):
        restore(DirectoryPlace(place), target, None, prove=cheat)
    assert untouched(target)
    assert leftovers(target.parent) == []


@pytest.mark.process
def test_a_restore_ends_with_a_boot_and_the_api_serves_all_payments(ledger, place, target, monkeypatch):
    """Whatever the environment variables; afterwards the API starts on it under its name."""
    for name, value in {"PORT": "1", "WORKERS": "x", "LIMIT_HEALTH": "none", "ACCOUNTS": "9", "BACKUP_TO": "y"}.items():
        monkeypatch.setenv(name, value)
    back_up(ledger, place)
    restored = restore(DirectoryPlace(place), target, None)
    assert restored.proof == "/balance/acct-000000 answers balance 999995"
    assert sorted(path.name for path in target.parent.iterdir()) == [lock_of(target).name, target.name]
    monkeypatch.undo()
    with running_target(DATABASE=str(target), LIMITER="off", ACCOUNTS="4") as api:
        for transaction in transactions(ledger):
            assert requests.get(f"{api.url}/transactions/{transaction}", timeout=5).status_code == 200
        answer = api.pay("key-1", debit="acct-000000", credit="acct-000001", amount=1)
        assert answer.headers["Idempotent-Replayed"] == "true"


@pytest.mark.slow
def test_an_api_that_answers_with_another_balance_is_no_proof(ledger, monkeypatch):
    """Nor is one that never becomes ready."""
    monkeypatch.setattr(booting, "_ask", lambda _: b'{"balance": 1}')
    monkeypatch.setattr(booting, "_await_ready", lambda *_: None)
    monkeypatch.setattr(booting.sys, "executable", "/bin/true")
    with pytest.raises(BackupError, match=r"^boot: /balance/acct-000000 answers another balance than 999995, got 1;"):
        prove_by_boot(ledger)
    monkeypatch.undo()
    monkeypatch.setattr(booting, "_START_S", 0.2)
    silent = ledger.parent / "silent"
    silent.write_text("#!/bin/sh\nexec sleep 100\n")
    silent.chmod(0o755)
    monkeypatch.setattr(booting.sys, "executable", str(silent))
    with pytest.raises(BackupError, match=r"^boot: the API doesn't start on it, got no output; start it by hand"):
        prove_by_boot(ledger)


@pytest.mark.process
def test_a_database_that_the_api_does_not_start_on_is_not_restored(ledger, place, target, monkeypatch):
    """The error quotes its last output."""
    back_up(ledger, place)
    broken = ledger.parent / "broken"
    broken.write_text("#!/bin/sh\necho 'No module named payments_api' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(booting.sys, "executable", str(broken))
    with pytest.raises(BackupError, match=r"^boot: the API doesn't start on it, got .*No module named"):
        restore(DirectoryPlace(place), target, None)
    assert untouched(target)


def test_a_manifest_survives_a_round_trip(ledger, place):
    """Written and read back."""
    manifest = back_up(ledger, place).manifest
    assert isinstance(manifest, Manifest)
    assert parse_manifest((place / f"{manifest.name}.json").read_bytes(), name=manifest.name) == manifest
    assert manifest.contents["balances_sum"] == 4_000_000
    assert manifest.contents["amounts_sum"] == 5
    assert manifest.payload == hash_file(payload(place, manifest.name))
