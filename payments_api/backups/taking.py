"""Turns a live database into a stored backup: copies, checks, packs and stores it, and deletes old backups."""

from __future__ import annotations

import secrets
import shutil
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from payments_api.backups.disk.copying import copy_database, size_of
from payments_api.backups.disk.locking import lock_of, locked
from payments_api.backups.disk.packing import hash_file, pack
from payments_api.backups.disk.workshop import disk_errors, workshop_of
from payments_api.backups.manifest import (
    MANIFEST_SUFFIX,
    PAYLOAD_SUFFIX,
    BackupName,
    Manifest,
    ledger_key,
    new_name,
    stem_of,
)
from payments_api.backups.mistakes import BackupError, UnusableError
from payments_api.backups.proof.checking import check_ledger, ledger_id_of, schema_of
from payments_api.backups.storage.places import backups_of_ledger, unfinished_in
from payments_api.backups.storage.retention import Keep, to_delete
from payments_api.backups.storage.unsound import keep_unsound

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from payments_api.backups.storage.places import Place

_RESERVE_BYTES: Final = 16 << 20
"""Space to leave free for the live database on the same disk: payments fail if it can't grow."""
_STALE: Final = timedelta(days=1)
"""Longer than a backup may take: anything unfinished for longer is abandoned."""


@dataclass(frozen=True)
class Taken:
    manifest: Manifest
    deleted: int
    same_disk: bool
    """The place is on the same file system as the database, and would be lost with it."""


def take_backup(
    database: Path,
    place: Place,
    *,
    keep: Keep,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    step: Callable[[str], None] = lambda _: None,
) -> Taken:
    """Take a backup; `step` is called with the name of each step as it begins.

    If this raises BackupError, there is no new backup and all others are unchanged, unless the last step failed, which
    deletes old ones.
    """
    size = size_of(database)
    step(f"waiting for its turn in {place.shown}")
    with locked(lock_of(database)), workshop_of(database) as work, place.writing():
        _see_to_space(work, size)
        step("copying")
        copy, packed, written = work / "copy.sqlite3", work / "packed.gz", work / "manifest.json"
        taken_at = now()
        copy_database(database, copy)
        step("checking")
        try:
            contents = check_ledger(copy, name=f"the copy of {database}")
        except UnusableError as error:
            step(f"keeping the copy in {place.shown}")
            error.args = (f"{error}; its state is {_kept_unsound(database, copy, place, taken_at)}",)
            raise
        step("packing")
        with disk_errors(work):
            pack(copy, packed)
        step(f"writing to {place.shown}")
        _throw_out_unfinished(place, taken_at)
        name = _next_name(database, copy, place, taken_at)
        with disk_errors(work):
            manifest = _manifest_of(copy, packed, contents, name=name, taken_at=taken_at)
            written.write_bytes(manifest.to_bytes())
        place.put(packed, name + PAYLOAD_SUFFIX)
        # The manifest comes last: with it the backup exists.
        place.put(written, name + MANIFEST_SUFFIX)
        step(f"deleting old backups in {place.shown}")
        deleted = _throw_out_old(place, name, keep)
    return Taken(manifest, deleted, place.device == database.stat().st_dev)


def _kept_unsound(database: Path, copy: Path, place: Place, taken_at: datetime) -> str:
    """Where a copy that failed its checks was kept, for the error message."""
    try:
        return f"kept as {keep_unsound(database, copy, place, taken_at)}, which is no backup"
    except BackupError as error:
        return f"not kept: {error}"


def _manifest_of(copy: Path, packed: Path, contents: dict[str, int], *, name: str, taken_at: datetime) -> Manifest:
    """The manifest of a backup."""
    return Manifest(
        name=name,
        created_at=taken_at,
        ledger_id=ledger_id_of(copy),
        schema_version=schema_of(copy),
        sqlite=sqlite3.sqlite_version,
        payload=hash_file(packed),
        database=hash_file(copy),
        contents=contents,
    )


def _next_name(database: Path, copy: Path, place: Place, taken_at: datetime) -> str:
    """A name numbered after those in the place, so that a wrong clock can't make a backup look newer or older."""
    stem, ledger_id = stem_of(database), ledger_id_of(copy)
    last = max((backup.sequence for backup in backups_of_ledger(place, ledger_key(stem, ledger_id))), default=0)
    return new_name(database, taken_at, secrets.token_hex(4), ledger_id=ledger_id, sequence=last + 1)


def _see_to_space(work: Path, size: int) -> None:
    needed, free = 2 * size + _RESERVE_BYTES, shutil.disk_usage(work).free
    if free < needed:
        what = f"no room to copy the database and leave {_RESERVE_BYTES >> 20} MiB: {needed} bytes needed"
        raise BackupError(work.parent, what, "free some space there", got=f"{free} free")


def _throw_out_unfinished(place: Place, now: datetime) -> None:
    for backup in unfinished_in(place):
        if place.is_locked_by_us or now - backup.taken_at > _STALE:
            place.delete(backup.text + PAYLOAD_SUFFIX)


def _throw_out_old(place: Place, name: str, keep: Keep) -> int:
    new = BackupName.parse(name)
    assert new is not None  # noqa: S101 - we made it
    ours, sizes = backups_of_ledger(place, new.ledger), place.sizes()
    # A backup without its payload must not count as the newest of its day, or a good one would be deleted.
    whole = [backup for backup in ours if backup.text + PAYLOAD_SUFFIX in sizes]
    old = to_delete(whole, keep) + [backup for backup in to_delete(ours, keep) if backup not in whole]
    deleted = [backup for backup in old if backup.text != name]
    for backup in deleted:
        # The manifest goes first, so that nobody finds half a backup.
        place.delete(backup.text + MANIFEST_SUFFIX)
        place.delete(backup.text + PAYLOAD_SUFFIX)
    return len(deleted)
