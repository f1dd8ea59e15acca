"""Copies a database that others write to, as of a single moment.

The copy is made in one step, inside one read transaction: in several steps, SQLite restarts whenever somebody else has
written, and never finishes under steady writes. In WAL mode writers don't wait for it; in other journal modes they do.
Source: https://www.sqlite.org/backup.html, 'Example 2'; https://www.sqlite.org/wal.html, 'Concurrency'.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from payments_api.backups.mistakes import BackupError, WrongInputError

if TYPE_CHECKING:
    from pathlib import Path

_EVERYTHING: Final = -1
"""Pages per step: all of them."""
_BUSY_S: Final = 30.0


def copy_database(source: Path, copy: Path) -> None:
    """Copy to the new file `copy`, which is on disk when this returns; raises BackupError if that fails."""
    try:
        with closing(_open(source)) as live, closing(sqlite3.connect(copy)) as written:
            written.execute("PRAGMA synchronous=OFF")
            live.backup(written, pages=_EVERYTHING)
    except sqlite3.Error as error:
        raise BackupError(source, "can't be copied", f"look at the database, and at {copy.parent}", got=error) from None
    sync(copy)


def size_of(database: Path) -> int:
    """Bytes that a copy may need: the size of the file plus its write-ahead log."""
    if not database.is_file():
        raise WrongInputError(database, "there is no such database", "name the SQLite file that the API serves")
    log = database.with_name(f"{database.name}-wal")
    return database.stat().st_size + (log.stat().st_size if log.exists() else 0)


def sync(path: Path) -> None:
    """Flush a file or directory to disk, so that its contents survive a power failure. Source: fsync(2)."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _open(database: Path) -> sqlite3.Connection:
    """Open for reading; a missing database is not created."""
    return sqlite3.connect(f"file:{quote(str(database))}?mode=ro", uri=True, timeout=_BUSY_S)
