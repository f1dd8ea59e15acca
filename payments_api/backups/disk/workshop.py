"""A temporary working directory; one that a killed process leaves behind is cleared by the next."""

from __future__ import annotations

import errno
import shutil
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from payments_api.backups.disk.owners import give_to_owner
from payments_api.backups.mistakes import BackupError, reason

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextmanager
def workshop_of(database: Path) -> Iterator[Path]:
    """An empty directory next to the database. The caller must hold the database's lock: old contents are removed."""
    path = database.with_name(f".{database.name}.backup")
    with disk_errors(path):
        if path.exists():
            shutil.rmtree(path)
        path.mkdir(mode=0o700)
        give_to_owner(path)
    try:
        yield path
    finally:
        with suppress(OSError):
            shutil.rmtree(path)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _unwritable(path, error) from None


@contextmanager
def full_disk(path: Path) -> Iterator[None]:
    """For reading elsewhere and writing here: turns only a full disk here into BackupError; other errors pass."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise _unwritable(path, error) from None


def _unwritable(path: Path, error: OSError) -> BackupError:
    return BackupError(path, "can't be written", "check its free space and permissions", got=reason(error))
