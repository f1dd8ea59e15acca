"""Where backups are kept: a directory or an S3-compatible bucket.

Files appear there completely or not at all.
"""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from payments_api.backups.disk.copying import sync
from payments_api.backups.disk.locking import locked
from payments_api.backups.disk.owners import give_to_owner
from payments_api.backups.disk.workshop import full_disk
from payments_api.backups.manifest import MANIFEST_SUFFIX, PAYLOAD_SUFFIX, BackupName, missing
from payments_api.backups.mistakes import BackupError, WrongInputError, reason
from payments_api.backups.storage.s3 import S3Place

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager
    from typing import BinaryIO

_PARTIAL: Final = ".partial-"
_LOCK: Final = ".backup-lock"
_OTHERS_S: Final = 1800.0
"""How long to wait for another database's backup to the same directory: by default all start at the same time."""


class Place(Protocol):
    shown: str
    """For people; contains no secret."""
    device: int | None
    """The device number of the file system if it is on this machine, else None."""
    is_locked_by_us: bool
    """Within `writing`: whether unfinished files there can only be our own."""

    def writing(self) -> AbstractContextManager[None]:
        """Required around any change to the place."""
        ...

    def sizes(self) -> dict[str, int]:
        """Sizes of all complete files in bytes, by name."""
        ...

    def put(self, source: Path, name: str) -> None:
        """Store the file under this name, atomically and durably."""
        ...

    def fetch(self, name: str, target: Path) -> None: ...

    def delete(self, name: str) -> None:
        """Delete the file; does nothing if it isn't there."""
        ...


def open_place(where: str, environment: Mapping[str, str]) -> Place:
    """`s3://bucket/prefix`, or an existing directory; secrets come from the environment. WrongInputError otherwise."""
    if where.startswith("s3://"):
        return S3Place(where, environment)
    path = Path(where)
    if not path.is_dir():
        # Not created: if a volume isn't mounted, we would write to the disk below its mount point.
        raise WrongInputError("BACKUP_TO", "no such directory", "make it, or mount what it is on", got=ascii(where))
    return DirectoryPlace(path)


class DirectoryPlace:
    is_locked_by_us = True

    def __init__(self, path: Path) -> None:
        self._path = path
        self.shown = str(path)
        self.device: int | None = path.stat().st_dev

    @contextmanager
    def writing(self) -> Iterator[None]:
        with locked(self._path / _LOCK, wait_s=_OTHERS_S):
            for partial in self._path.glob(f"{_PARTIAL}*"):
                partial.unlink()
            yield

    def sizes(self) -> dict[str, int]:
        sizes = {}
        try:
            with os.scandir(self._path) as entries:
                for entry in entries:
                    # Another process may delete an old file meanwhile.
                    with suppress(FileNotFoundError):
                        sizes[entry.name] = entry.stat().st_size
        except OSError as error:
            raise self._failed("can't be listed", error) from None
        return {name: size for name, size in sizes.items() if not name.startswith(".")}

    def put(self, source: Path, name: str) -> None:
        partial = self._path / f"{_PARTIAL}{name}"
        try:
            with source.open("rb") as read, _private(partial) as written:
                shutil.copyfileobj(read, written, 1 << 20)
                written.flush()
                os.fsync(written.fileno())
            give_to_owner(partial)
            partial.replace(self._path / name)
            sync(self._path)
        except OSError as error:
            self._remove_quietly(partial)
            raise self._failed(f"can't take {name}", error) from None

    def fetch(self, name: str, target: Path) -> None:
        try:
            with full_disk(target.parent):
                shutil.copyfile(self._path / name, target)
        except FileNotFoundError:
            raise missing(name, self.shown) from None
        except OSError as error:
            raise self._failed(f"{name} can't be read", error) from None

    def delete(self, name: str) -> None:
        try:
            (self._path / name).unlink(missing_ok=True)
        except OSError as error:
            raise self._failed(f"{name} can't be removed", error) from None

    def _remove_quietly(self, path: Path) -> None:
        try:
            path.unlink(missing_ok=True)
        except OSError:
            return

    def _failed(self, what: str, error: OSError) -> BackupError:
        return BackupError(self.shown, what, "check its free space, mount and permissions", got=reason(error))


def _private(path: Path) -> BinaryIO:
    """Open a new file for writing that other users can't read: payments are private."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")


def backups_in(place: Place) -> list[BackupName]:
    """Complete backups, which have a manifest; newest first."""
    stems = {name.removesuffix(MANIFEST_SUFFIX) for name in place.sizes() if name.endswith(MANIFEST_SUFFIX)}
    found = [backup for backup in map(BackupName.parse, stems) if backup is not None]
    return sorted(found, key=lambda backup: (backup.taken_at, backup.text), reverse=True)


def backups_of_ledger(place: Place, ledger: str) -> list[BackupName]:
    """Like `backups_in`, for one ledger, in the order in which they were taken, newest first."""
    ours = [backup for backup in backups_in(place) if backup.ledger == ledger]
    return sorted(ours, key=lambda backup: backup.order, reverse=True)


def unfinished_in(place: Place) -> list[BackupName]:
    """Backups of which only the payload exists."""
    finished = {backup.text for backup in backups_in(place)}
    stems = {name.removesuffix(PAYLOAD_SUFFIX) for name in place.sizes() if name.endswith(PAYLOAD_SUFFIX)}
    return [backup for backup in map(BackupName.parse, stems - finished) if backup is not None]
