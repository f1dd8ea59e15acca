"""Good backups are recognised without fetching them."""

from __future__ import annotations

import pytest

from payments_api.backups.schedule.looking import good_backups
from payments_api.backups.storage.places import DirectoryPlace, open_place
from payments_api.backups.taking import take_backup
from tests.payments_api.backups.books import KEEP, back_up, flip, payload


def looked(ledger, place) -> tuple[list[str], list[str]]:
    """Good backups, and the lines passed to `tell`."""
    told: list[str] = []
    return [backup.text for backup in good_backups(ledger, place, tell=told.append)], told


HARMS = {
    "its file {}.sqlite3.gz is missing": lambda place, name: payload(place, name).unlink(),
    "is damaged, got 9 bytes instead of": lambda place, name: payload(place, name).write_bytes(b"truncated"),
    "its manifest is damaged": lambda place, name: flip(place / f"{name}.json", 20),
}


@pytest.mark.parametrize("line", HARMS)
def test_a_backup_with_only_a_manifest_is_not_good(ledger, place, line):
    """The previous one counts instead, and the reason is reported."""
    good = back_up(ledger, place).manifest.name
    bad = back_up(ledger, place).manifest.name
    assert looked(ledger, DirectoryPlace(place)) == ([bad, good], [])
    HARMS[line](place, bad)
    names, told = looked(ledger, DirectoryPlace(place))
    assert names == [good]
    assert told[0].startswith(f"{bad}: {line.format(bad)}")


@pytest.mark.slow
def test_a_backup_in_a_bucket_with_only_a_manifest_is_not_good(ledger, storage):
    """Sizes come with the listing."""
    place = open_place(storage.where, storage.environment)
    name = take_backup(ledger, place, keep=KEEP).manifest.name
    assert looked(ledger, place) == ([name], [])
    storage.client().delete_object(Bucket=storage.bucket, Key=f"some/prefix/{name}.sqlite3.gz")
    assert looked(ledger, place)[0] == []
