"""Keeps copies of a database that fails its checks, so that it can be repaired; they never count as backups.

Without them, losing the disk would also lose all payments since the last good backup.
"""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from payments_api.backups.disk.packing import pack
from payments_api.backups.disk.workshop import disk_errors
from payments_api.backups.manifest import BackupName, ledger_key, new_name, stem_of
from payments_api.backups.proof.checking import ledger_id_of

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from payments_api.backups.storage.places import Place

UNSOUND_SUFFIX: Final = ".unsound.gz"
_KEPT: Final = 7
_APART: Final = timedelta(hours=20)
"""Shortest time between two copies: a failed backup is retried every hour."""


def keep_unsound(database: Path, copy: Path, place: Place, taken_at: datetime) -> str:
    """Store the copy, unless there is one from the last 20 hours; returns its name, or raises BackupError."""
    ledger_id = ledger_id_of(copy)
    earlier = _kept_in(place, ledger_key(stem_of(database), ledger_id))
    if earlier and abs(taken_at - earlier[-1].taken_at) < _APART:
        return earlier[-1].text + UNSOUND_SUFFIX
    packed = copy.with_suffix(".gz")
    with disk_errors(packed.parent):
        pack(copy, packed)
    name = new_name(database, taken_at, secrets.token_hex(4), ledger_id=ledger_id) + UNSOUND_SUFFIX
    place.put(packed, name)
    for old in earlier[: 1 - _KEPT]:
        place.delete(old.text + UNSOUND_SUFFIX)
    return name


def _kept_in(place: Place, ledger: str) -> list[BackupName]:
    """Oldest first."""
    stems = (name.removesuffix(UNSOUND_SUFFIX) for name in place.sizes() if name.endswith(UNSOUND_SUFFIX))
    copies = [copy for copy in map(BackupName.parse, stems) if copy is not None and copy.ledger == ledger]
    return sorted(copies, key=lambda copy: copy.order)
