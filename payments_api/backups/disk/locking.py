"""A file lock that one process holds, and that the kernel releases however the process ends."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from payments_api.backups.disk.owners import give_to_owner
from payments_api.backups.mistakes import BackupError, BusyError, reason

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_POLL_S: Final = 0.05


def lock_of(database: Path) -> Path:
    """The lock file, next to the database. It is never removed: two processes could lock two files of the same name."""
    return database.with_name(f".{database.name}.backup-lock")


def try_lock(path: Path) -> int | None:
    """A descriptor that holds the lock until closed; None if another process holds it; BackupError if locking fails.

    Source: flock(2): the lock belongs to the open file and ends when its last descriptor is closed.
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
    # Only for messages: a full disk must not break the lock.
    with suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor


@contextmanager
def locked(path: Path, *, wait_s: float = 0.0) -> Iterator[None]:
    """Hold the lock; raises BusyError if another process still holds it after `wait_s`."""
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
