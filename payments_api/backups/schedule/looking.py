"""Finds a database's good backups in its destination; run as a separate process, because the destination may hang.

`python -m payments_api.backups.schedule.looking SECONDS` prints their names, latest first, for DATABASE and BACKUP_TO.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from payments_api.backups.deadline import deadline
from payments_api.backups.disk.packing import damaged
from payments_api.backups.manifest import PAYLOAD_SUFFIX, BackupName, ledger_key, missing, stem_of
from payments_api.backups.mistakes import BackupError, UnusableError
from payments_api.backups.proof.checking import ledger_id_of
from payments_api.backups.restoring import read_manifest
from payments_api.backups.storage.places import backups_of_ledger, open_place

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from payments_api.backups.storage.places import Place

_LOOK_AT: Final = 5
"""One would do, unless a clock was wrong."""


def good_backups(database: Path, place: Place, *, tell: Callable[[str], None] = lambda _: None) -> list[BackupName]:
    """The latest good backups, judged by manifests and sizes, not payloads; `tell` gets a line for each bad one."""
    key = ledger_key(stem_of(database), ledger_id_of(database, live=True))
    ours, good = backups_of_ledger(place, key), []
    # Listed after the manifests: a payload is stored before its manifest.
    sizes = place.sizes()
    with TemporaryDirectory(prefix="payments-backups-") as work:
        for backup in ours[:_LOOK_AT]:
            try:
                _check_size(place, backup, sizes, Path(work))
            except UnusableError as error:
                tell(str(error))
            else:
                good.append(backup)
    return good


def _check_size(place: Place, backup: BackupName, sizes: Mapping[str, int], work: Path) -> None:
    payload = backup.text + PAYLOAD_SUFFIX
    expected = read_manifest(place, backup, work).payload.bytes
    if payload not in sizes:
        raise missing(payload, place.shown)
    if sizes[payload] != expected:
        raise damaged(backup.text, f"{sizes[payload]} bytes instead of {expected}")


def main() -> int:
    where = os.environ["BACKUP_TO"]
    with deadline("backups", float(sys.argv[1]), "see whether it is mounted and answers") as step:
        step(f"looking for them in {where}")
        try:
            backups = good_backups(Path(os.environ["DATABASE"]), open_place(where, os.environ), tell=_warn)
        except BackupError as error:
            _warn(str(error))
            return 1
    sys.stdout.write("".join(f"{backup.text}\n" for backup in backups))
    return 0


def _warn(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
