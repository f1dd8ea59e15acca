"""Ledgers with payments, and helpers for tests of their backups."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from payments_api.backups.restoring import restore
from payments_api.backups.storage.places import DirectoryPlace, backups_in
from payments_api.backups.storage.retention import Keep
from payments_api.backups.taking import Taken, take_backup
from payments_api.ledger import Ledger, Order, create_database

KEEP = Keep(14, 8, 12)


def new_ledger(path: Path, *, payments: int = 5) -> Path:
    create_database(str(path), 4)
    pay(path, range(payments))
    return path


def pay(path: Path, numbers: range) -> None:
    """Make a payment of 1 for each number, and an order that is refused."""

    async def all_of_them() -> None:
        for number in numbers:
            result = await ledger.pay(f"key-{number}", Order("acct-000000", "acct-000001", 1, "EUR"))
            assert result.status == 201
        await ledger.pay(f"refused-{numbers}", Order("acct-000002", "acct-000003", 9_000_000, "EUR"))

    ledger = Ledger(str(path))
    try:
        asyncio.run(all_of_them())
    finally:
        ledger.close()


def transactions(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as database:
        return {row[0] for row in database.execute("SELECT id FROM transactions")}


def back_up(database: Path, place: Path, **options: object) -> Taken:
    return take_backup(database, DirectoryPlace(place), **{"keep": KEEP, **options})


def restore_unproved(place: Path, database: Path, name: str | None = None) -> str:
    """Restore without a boot, which would take a process; returns the name of the backup."""
    return restore(DirectoryPlace(place), database, name, prove=lambda _: "not started").manifest.name


def names(place: Path) -> list[str]:
    """Names of the backups, newest first."""
    return [backup.text for backup in backups_in(DirectoryPlace(place))]


def payload(place: Path, name: str) -> Path:
    return place / f"{name}.sqlite3.gz"


def flip(path: Path, position: int) -> None:
    """Flip a bit in the byte at this position."""
    text = bytearray(path.read_bytes())
    text[position] ^= 1
    path.write_bytes(text)


@contextmanager
def changed(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that bypasses the ledger and its constraints; changes are committed at the end."""
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA ignore_check_constraints=1")
        yield database
        database.commit()


def leftovers(directory: Path) -> list[str]:
    """Files that a killed process left behind, except locks."""
    return sorted(
        str(path.relative_to(directory))
        for path in directory.rglob(".*")
        if not path.name.endswith("-lock") and path.name != ".gitignore"
    )


def copied(source: Path, target: Path) -> Path:
    shutil.copytree(source, target)
    return target
