"""A lock on a file, which one process holds and the kernel releases however that process ends."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from payments_api.backups.mistakes import BackupError, BusyError, reason
from payments_api.backups.owners import give_to_owner

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_POLL_S: Final = 0.05


def lock_of(database: Path) -> Path:
    """Next to the database. The file stays: removing it could let two processes lock two files with one name."""
    return database.with_name(f".{database.name}.backup-lock")


def try_lock(path: Path) -> int | None:
    """The descriptor that holds the lock until it is closed; None if another process holds it; BackupError.

    Source: flock(2): the lock belongs to the open file, and ends with the last descriptor of it.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise BackupError(
            path, "can't create the lock file", "make its directory writable", got=reason(error)
        ) from None
    give_to_owner(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError as error:
        os.close(descriptor)
        raise BackupError(path, "can't be locked", "use a file system with locks", got=reason(error)) from None
    # Only for messages: a full disk does not break the lock.
    with suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor


@contextmanager
def locked(path: Path, *, wait_s: float = 0.0) -> Iterator[None]:
    """Nobody else is in here with this path; BusyError if another process still is after `wait_s`."""
    deadline_s = time.monotonic() + wait_s
    while (descriptor := try_lock(path)) is None:
        if time.monotonic() >= deadline_s:
            raise BusyError(path, "another backup or restore is running here", "wait until it ends", got=_holder(path))
        time.sleep(_POLL_S)
    try:
        yield
    finally:
        os.close(descriptor)


def _holder(path: Path) -> str:
    return f"process {path.read_text(encoding='ascii', errors='replace') or 'unknown'}"
