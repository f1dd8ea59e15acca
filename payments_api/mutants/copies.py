"""Backups that are incomplete, never end or are partly restored; for `python -m payments_api backup|restore`."""

from __future__ import annotations

import shutil
import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING, Final

from payments_api.backups import restoring, taking
from payments_api.mutants.mutant import Replace, mutant

if TYPE_CHECKING:
    from pathlib import Path

_PAGES: Final = 5
_PAUSE_S: Final = 0.05


@mutant(15)
def backup_without_log(replace: Replace) -> None:
    """A backup lacks the latest payments: the file is copied without its write-ahead log."""

    def copy_database(source: Path, copy: Path) -> None:
        shutil.copyfile(source, copy)

    replace(taking, "copy_database", copy_database)


@mutant(15)
def backup_stepped(replace: Replace) -> None:
    """Under load a backup never ends: it copies a few pages at a time, and each payment in between restarts it."""

    def copy_database(source: Path, copy: Path) -> None:
        with closing(sqlite3.connect(source)) as live, closing(sqlite3.connect(copy)) as written:
            live.backup(written, pages=_PAGES, progress=lambda *_: time.sleep(_PAUSE_S))

    replace(taking, "copy_database", copy_database)


@mutant(15)
def restore_skips_newest(replace: Replace) -> None:
    """The last second's payments are not restored: times are compared as strings, one of them in whole seconds."""
    true = restoring._give_name

    def give_name(file: Path, database: Path) -> None:
        with closing(sqlite3.connect(file)) as restored, restored:
            (newest,) = restored.execute("SELECT SUBSTR(MAX(created_at), 1, 19) FROM transactions").fetchone()
            restored.execute("DELETE FROM transactions WHERE created_at > ?", (newest,))
        true(file, database)

    replace(restoring, "_give_name", give_name)
