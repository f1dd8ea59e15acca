"""Checks that a copy of a ledger is intact and its books balance, and determines what it holds."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from payments_api.backups.application import BROKEN_BY, CONTENTS, SCHEMA_VERSION, database_id
from payments_api.backups.mistakes import UnusableError

if TYPE_CHECKING:
    from pathlib import Path

_REMEDY: Final = "don't rely on it, and look at the database that it comes from"


def check_ledger(file: Path, *, name: str) -> dict[str, int]:
    """What this file holds, which nobody may have open; UnusableError, naming it `name`, for the first failed check."""
    try:
        # Nobody writes to the file, so SQLite needs no locks and creates no log or index file next to it.
        with closing(sqlite3.connect(f"file:{quote(str(file))}?immutable=1", uri=True)) as database:
            _check_file(database, name)
            for what, query in BROKEN_BY.items():
                broken = database.execute(query).fetchone()
                if broken is not None:
                    raise UnusableError(name, what, _REMEDY, got=broken[0])
            return {what: database.execute(query).fetchone()[0] for what, query in CONTENTS.items()}
    except sqlite3.Error as error:
        raise UnusableError(name, "is not a complete ledger", _REMEDY, got=error) from None


def schema_of(file: Path) -> int:
    """The schema version in the file; ledgers from before there were versions count as version 1."""
    with closing(sqlite3.connect(f"file:{quote(str(file))}?immutable=1", uri=True)) as database:
        version: int = database.execute("PRAGMA user_version").fetchone()[0]
    return version or 1


def ledger_id_of(file: Path, *, live: bool = False) -> str | None:
    """The ledger's id; None without one or if the database can't be read. `live`: other processes may have it open."""
    how = "mode=ro" if live else "immutable=1"
    try:
        with closing(sqlite3.connect(f"file:{quote(str(file))}?{how}", uri=True)) as database:
            return database_id(database)
    except sqlite3.Error:
        return None


def _check_file(database: sqlite3.Connection, name: str) -> None:
    version = database.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA_VERSION:
        raise UnusableError(
            name, f"has a schema newer than {SCHEMA_VERSION}", "use the version that created it", got=version
        )
    found = database.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if found != "ok":
        raise UnusableError(name, "SQLite finds it damaged", _REMEDY, got=found)
