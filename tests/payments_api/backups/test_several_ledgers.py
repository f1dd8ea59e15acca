"""Several databases with backups in one place, whatever their files are called: each has its own backups."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from payments_api.backups.manifest import BackupName, parse_manifest
from payments_api.backups.mistakes import WrongInputError
from payments_api.backups.schedule.looking import good_backups
from payments_api.backups.storage.places import DirectoryPlace
from payments_api.backups.storage.retention import Keep
from payments_api.ledger import create_database
from tests.payments_api.backups.books import (
    back_up,
    changed,
    names,
    new_ledger,
    pay,
    restore_unproved,
    transactions,
)

ONE = Keep(1, 0, 0)


@pytest.fixture
def namesake(tmp_path) -> Path:
    """Another database whose file has the ledger's name."""
    (tmp_path / "staging").mkdir()
    return new_ledger(tmp_path / "staging/ledger.sqlite3")


def good_ones(database: Path, place: Path) -> list[str]:
    return [backup.text for backup in good_backups(database, DirectoryPlace(place))]


def identity(database: Path) -> str:
    with closing(sqlite3.connect(database)) as opened:
        return str(opened.execute("SELECT ledger_id FROM identity").fetchone()[0])


def forget_identity(database: Path) -> None:
    """Make the database one of a version without ids."""
    with changed(database) as opened:
        opened.execute("DROP TABLE identity")


def test_retention_does_not_delete_backups_of_a_ledger_with_the_same_file_name(ledger, namesake, place):
    """Only its own."""
    ours = back_up(ledger, place, keep=ONE).manifest.name
    theirs = [back_up(namesake, place, keep=ONE).manifest.name for _ in range(5)]
    assert set(names(place)) == {ours, *theirs[2:]}


def test_a_schedule_counts_only_its_own_ledgers_backups(ledger, namesake, place):
    """Not those of a ledger with the same file name."""
    taken = back_up(ledger, place).manifest
    assert good_ones(ledger, place) == [taken.name]
    assert good_ones(namesake, place) == []


def test_a_restore_without_a_name_refuses_to_choose_between_ledgers(ledger, namesake, place, tmp_path):
    """It names the latest backup of each."""
    ours = back_up(ledger, place).manifest.name
    back_up(namesake, place)
    theirs = back_up(namesake, place).manifest.name
    pay(ledger, range(100, 103))
    with pytest.raises(WrongInputError, match="it has backups of several databases, got ") as caught:
        restore_unproved(place, tmp_path / "restored.sqlite3")
    for database, name in ((ledger, ours), (namesake, theirs)):
        assert f"ledger {identity(database)} ({name})" in str(caught.value)
    restore_unproved(place, tmp_path / "restored.sqlite3", theirs)
    assert transactions(tmp_path / "restored.sqlite3") == transactions(namesake)


def test_a_ledger_keeps_its_id_when_it_is_restarted_moved_or_restored(ledger, place, tmp_path):
    """So it finds its backups again; a copy of it is the same ledger."""
    before = identity(ledger)
    create_database(str(ledger), 4)
    assert identity(ledger) == before
    back_up(ledger, place)
    moved = ledger.rename(ledger.with_name("books.sqlite3"))
    assert len(good_ones(moved, place)) == 1
    restore_unproved(place, tmp_path / "restored.sqlite3")
    assert identity(tmp_path / "restored.sqlite3") == before


@pytest.mark.slow
def test_a_ledger_without_an_id_gets_one_at_its_next_start(ledger, place):
    """Its earlier backups count as another ledger's: they can be verified, and are never deleted for new ones."""
    forget_identity(ledger)
    old = back_up(ledger, place, keep=ONE).manifest
    assert old.ledger_id is None
    assert BackupName.parse(old.name).ledger == "ledger"
    create_database(str(ledger), 4)
    new = [back_up(ledger, place, keep=ONE).manifest.name for _ in range(4)]
    assert set(names(place)) == {old.name, *new[1:]}
    with pytest.raises(WrongInputError, match=rf"several databases, got .*, ledger without id \({old.name}\);"):
        restore_unproved(place, ledger.with_name("restored.sqlite3"))
    assert restore_unproved(place, ledger.with_name("restored.sqlite3"), old.name) == old.name


def test_a_manifest_and_its_name_contain_the_ledgers_id(ledger, place):
    """And the number of the backup."""
    back_up(ledger, place)
    name = back_up(ledger, place).manifest.name
    manifest = parse_manifest((place / f"{name}.json").read_bytes(), name=name)
    assert manifest.ledger_id == identity(ledger)
    assert name.startswith(f"ledger-{identity(ledger)}-000002-")
    assert BackupName.parse(name).sequence == 2
