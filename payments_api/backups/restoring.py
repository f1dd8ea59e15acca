"""Restores a backup to a path where there is no database, and proves it before it gets its name."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from payments_api.backups.application import SCHEMA_VERSION
from payments_api.backups.disk.copying import sync
from payments_api.backups.disk.locking import lock_of, locked
from payments_api.backups.disk.owners import give_to_owner
from payments_api.backups.disk.packing import check_hash, unpack
from payments_api.backups.disk.workshop import disk_errors, workshop_of
from payments_api.backups.manifest import FUTURE, MANIFEST_SUFFIX, PAYLOAD_SUFFIX, BackupName, Manifest, parse_manifest
from payments_api.backups.mistakes import BackupError, UnusableError, WrongInputError, reason
from payments_api.backups.proof.booting import prove_by_boot
from payments_api.backups.proof.checking import check_ledger
from payments_api.backups.storage.places import backups_in, backups_of_ledger

if TYPE_CHECKING:
    from collections.abc import Callable

    from payments_api.backups.storage.places import Place

_BESIDE = ("", "-wal", "-shm", "-journal")
"""Suffixes of a database's files: a leftover log would be replayed into the restored database."""
_LOOK_AT = 5


class Restored(NamedTuple):
    manifest: Manifest
    proof: str


def restore(
    place: Place,
    database: Path,
    name: str | None,
    *,
    prove: Callable[[Path], str] = prove_by_boot,
    step: Callable[[str], None] = lambda _: None,
    tell: Callable[[str], None] = lambda _: None,
) -> Restored:
    """Restore the latest backup, or the one with this name; `tell` as in `choose`.

    If this raises WrongInputError or another BackupError, nothing has changed.
    """
    refuse_occupied(database)
    with locked(lock_of(database)), workshop_of(database) as work:
        backup = choose(place, name, tell=tell)
        file = work / "restored.sqlite3"
        manifest = open_backup(place, backup, file, step=step)
        step("starting the API on it")
        proof = prove(file)
        _settle(file, manifest)
        step("giving it its name")
        refuse_occupied(database)
        _give_name(file, database)
    return Restored(manifest, proof)


def refuse_occupied(database: Path) -> None:
    """Raises WrongInputError if any file of a database exists, or a process still has a deleted one open."""
    if not database.parent.is_dir():
        raise WrongInputError(database, "its directory doesn't exist", "create it first")
    for suffix in _BESIDE:
        path = database.with_name(database.name + suffix)
        if os.path.lexists(path):
            who = _users_of(os.path.realpath(path))
            what = f"is in use by process {', '.join(who)}" if who else "already exists"
            remedy = "stop the API, and move the database away with its -wal and -shm, or restore to another path"
            raise WrongInputError(path, what, remedy)
    # How /proc shows a deleted file. A server that has it open would carry on and take payments that would be lost.
    if who := _users_of(f"{os.path.realpath(database)} (deleted)"):
        what = f"was deleted, but is still in use by process {', '.join(who)}"
        raise WrongInputError(database, what, "stop the API first, or restore to another path")


def choose(
    place: Place,
    name: str | None,
    *,
    now: datetime | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> BackupName:
    """The backup with this name, or the latest if there is only one ledger; `tell` gets a line about wrong dates."""
    backups = backups_in(place)
    if name is not None:
        named = next((backup for backup in backups if backup.text == name), None)
        if named is None:
            names = ", ".join(backup.text for backup in backups[:_LOOK_AT]) or "none"
            raise WrongInputError(ascii(name), f"no such backup in {place.shown}", f"there are: {names}")
        return named
    if not backups:
        raise WrongInputError(place.shown, "there are no backups", "name the destination that they were written to")
    soon = (now or datetime.now(UTC)) + FUTURE
    latest = _latest_of_each_ledger(backups, soon)
    if len(latest) > 1:
        shown = ", ".join(f"{backup.stem} {backup.ledger_id or 'without id'} ({backup.text})" for backup in latest)
        what = "it has backups of several databases"
        raise WrongInputError(place.shown, what, "name the backup; the latest of each is in parentheses", got=shown)
    _tell_of_dates(latest[0], backups, soon, tell)
    return latest[0]


def _latest_of_each_ledger(backups: list[BackupName], soon: datetime) -> list[BackupName]:
    """By number, or by date for those without one; those dated after `soon` only count if there are no others."""
    latest: dict[str, BackupName] = {}
    for backup in sorted(
        backups, key=lambda one: (one.sequence, one.taken_at <= soon or bool(one.sequence), one.order)
    ):
        latest[backup.ledger] = backup
    return sorted(latest.values(), key=lambda backup: (backup.stem, backup.ledger))


def _tell_of_dates(latest: BackupName, backups: list[BackupName], soon: datetime, tell: Callable[[str], None]) -> None:
    skipped = [backup.text for backup in backups if not backup.sequence and backup.taken_at > soon]
    if latest.taken_at > soon:
        how = "number" if latest.sequence else "date"
        tell(f"{latest.text}: is dated in the future; it is the latest by its {how}")
    elif skipped:
        tell(f"{', '.join(skipped)}: dated in the future, and skipped; to use one anyway, name it")


def open_backup(
    place: Place, backup: BackupName, file: Path, *, step: Callable[[str], None] = lambda _: None
) -> Manifest:
    """Unpack this backup to `file` and check it fully; raises UnusableError, which names good ones to use instead."""
    try:
        return _open(place, backup, file, step)
    except UnusableError as error:
        good = _good_ones(place, backup, file.parent)
        error.args = (f"{error}; good ones: {', '.join(good) or 'none found'}",)
        raise


def check_backup(place: Place, backup: BackupName, work: Path) -> Manifest:
    """Check everything that doesn't need a boot; raises BackupError if something is wrong."""
    return _open(place, backup, work / "checked.sqlite3", lambda _: None)


def _open(place: Place, backup: BackupName, file: Path, step: Callable[[str], None]) -> Manifest:
    step(f"fetching {backup.text}")
    manifest = read_manifest(place, backup, file.parent)
    if manifest.schema_version > SCHEMA_VERSION:
        remedy = "use the version that created it"
        what = f"has a schema newer than {SCHEMA_VERSION}"
        raise UnusableError(backup.text, what, remedy, got=manifest.schema_version)
    packed = file.with_suffix(".gz")
    place.fetch(backup.text + PAYLOAD_SUFFIX, packed)
    step("checking")
    check_hash(packed, manifest.payload, name=backup.text)
    with disk_errors(file.parent):
        unpack(packed, file, expected=manifest.database, name=backup.text)
        packed.unlink()
    if check_ledger(file, name=backup.text) != manifest.contents:
        raise UnusableError(backup.text, "has other contents than its manifest says", "restore another backup")
    return manifest


def read_manifest(place: Place, backup: BackupName, work: Path) -> Manifest:
    fetched = work / "manifest.json"
    place.fetch(backup.text + MANIFEST_SUFFIX, fetched)
    return parse_manifest(fetched.read_bytes(), name=backup.text)


def _good_ones(place: Place, bad: BackupName, work: Path) -> list[str]:
    others = [backup for backup in backups_of_ledger(place, bad.ledger) if backup != bad]
    good = []
    for backup in others[:_LOOK_AT]:
        try:
            check_backup(place, backup, work)
        except UnusableError:
            continue
        good.append(backup.text)
    return good


def _settle(file: Path, manifest: Manifest) -> None:
    """Check that the boot changed nothing, and leave a single file."""
    with closing(sqlite3.connect(file)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    if any(file.with_name(file.name + suffix).exists() for suffix in _BESIDE[1:]):
        raise BackupError("boot", "the API has not closed the database", "try again")
    if check_ledger(file, name=manifest.name) != manifest.contents:
        raise BackupError("boot", "starting the API on it has changed its contents", "report this")
    sync(file)


def _give_name(file: Path, database: Path) -> None:
    """Rename atomically and without replacing: a link fails if the name is taken, where a rename would not."""
    # Before it has its name: if we were killed in between, the API couldn't open the database.
    give_to_owner(file)
    try:
        os.link(file, database)
    except FileExistsError:
        raise WrongInputError(database, "was created meanwhile", "restore to another path") from None
    except OSError as error:
        raise BackupError(database, "can't be named", "use a file system that has links", got=reason(error)) from None
    try:
        sync(database.parent)
    except OSError as error:
        # Nothing must have changed.
        with suppress(OSError):
            database.unlink()
        remedy = "check that disk, then try again"
        raise BackupError(database.parent, "can't be flushed to disk", remedy, got=reason(error)) from None


def _users_of(target: str) -> list[str]:
    """Processes that have the file open, as far as we may see. Source: proc_pid_fd(5)."""
    users = []
    for descriptors in Path("/proc").glob("[0-9]*/fd"):
        try:
            if any(str(entry.readlink()) == target for entry in descriptors.iterdir()):
                users.append(descriptors.parent.name)
        except OSError:
            continue
    return users
