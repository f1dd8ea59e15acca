"""A database that fails its checks gets no backup, but a copy that survives the loss of its disk."""

from __future__ import annotations

import gzip
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from payments_api.backups.mistakes import BackupError, UnusableError
from payments_api.backups.storage.places import DirectoryPlace, unfinished_in
from tests.payments_api.backups.books import back_up, changed, names

NOW = datetime(2026, 3, 10, 3, tzinfo=UTC)


def fail_to_back_up(ledger: Path, place: Path, *, at: datetime = NOW) -> str:
    with pytest.raises(UnusableError) as caught:
        back_up(ledger, place, now=lambda: at)
    return str(caught.value)


def kept(place: Path) -> list[str]:
    return sorted(path.name for path in place.glob("*.unsound.gz"))


@pytest.mark.slow
def test_a_copy_whose_books_do_not_balance_is_kept_but_is_no_backup(ledger, place, tmp_path):
    """With later payments; the earlier backup stays the latest."""
    good = back_up(ledger, place).manifest.name
    with changed(ledger) as database:
        database.execute("UPDATE accounts SET balance = balance + 7 WHERE id = 'acct-000003'")
    line = fail_to_back_up(ledger, place)
    (copy,) = kept(place)
    assert "a balance is not the opening balance plus its postings, got acct-000003" in line
    assert line.endswith(f"; its state is kept as {copy}, which is no backup")
    assert names(place) == [good]
    assert unfinished_in(DirectoryPlace(place)) == []
    (tmp_path / "copy").write_bytes(gzip.decompress((place / copy).read_bytes()))
    with closing(sqlite3.connect(tmp_path / "copy")) as opened:
        (balance,) = opened.execute("SELECT balance FROM accounts WHERE id = 'acct-000003'").fetchone()
    assert balance == 1_000_007


def test_a_copy_that_cannot_be_kept_does_not_hide_the_reason(ledger, place, monkeypatch):
    """Both errors are reported."""
    with changed(ledger) as database:
        database.execute("UPDATE accounts SET balance = balance + 7 WHERE id = 'acct-000003'")

    def full(*_: object) -> None:
        raise BackupError("place", "full", "free some space")

    monkeypatch.setattr(DirectoryPlace, "put", full)
    line = fail_to_back_up(ledger, place)
    assert "a balance is not the opening balance plus its postings" in line
    assert line.endswith("; its state is not kept: place: full; free some space")


@pytest.mark.slow
def test_one_copy_per_day_is_kept_and_seven_in_all(ledger, place):
    """However often a backup is tried and whichever way the clock jumps; other ledgers' copies are left alone."""
    (place / "other-20260301T030000.000Z-00000000.unsound.gz").touch()
    with changed(ledger) as database:
        database.execute("UPDATE accounts SET balance = balance + 7 WHERE id = 'acct-000003'")
    first = fail_to_back_up(ledger, place)
    for hours in (1, -1, 19):
        assert fail_to_back_up(ledger, place, at=NOW + timedelta(hours=hours)) == first
    for day in range(1, 10):
        fail_to_back_up(ledger, place, at=NOW + timedelta(days=day))
    ours = [name for name in kept(place) if name.startswith("ledger-")]
    assert len(kept(place)) == 8
    assert [name.split("-")[3][:8] for name in ours] == [f"202603{day:02}" for day in range(13, 20)]
