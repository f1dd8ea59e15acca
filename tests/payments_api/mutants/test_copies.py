"""Backups of a ledger while payments are made."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sqlite3
from types import SimpleNamespace

import pytest

from payments_api.backups import taking
from payments_api.mutants import copies
from payments_api.mutants.catalogue import MUTANTS
from tests.payments_api.backups.books import back_up, new_ledger, pay, restore_unproved, transactions
from tests.payments_api.mutants.breaking import is_broken_by


async def restored_is_what_was_there(directory) -> bool:
    return await asyncio.to_thread(is_restored, directory)


def is_restored(directory) -> bool:
    """Back up and restore while the ledger is open, so that its log isn't in the file yet."""
    ledger = new_ledger(directory / "ledger.sqlite3", payments=0)
    with contextlib.closing(sqlite3.connect(ledger)) as served:
        served.execute("SELECT 1 FROM accounts").fetchone()
        pay(ledger, range(5))
        (directory / "place").mkdir()
        back_up(ledger, directory / "place")
    restore_unproved(directory / "place", directory / "restored.sqlite3")
    return transactions(directory / "restored.sqlite3") == transactions(ledger)


PROMISES = {
    "backup-without-log": restored_is_what_was_there,
    "restore-skips-newest": restored_is_what_was_there,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", PROMISES)
def test_a_backup_is_complete_but_for_the_mutant(name, tmp_path, monkeypatch):
    assert is_broken_by(name, PROMISES[name], tmp_path, monkeypatch)


class EndlessError(Exception):
    """The copy has restarted so often that it never ends."""


@pytest.mark.slow
def test_a_stepped_backup_never_ends_while_payments_are_made(tmp_path, monkeypatch):
    """However short the pauses: a payment in one restarts the copy. Without payments it ends."""
    ledger, pauses = new_ledger(tmp_path / "ledger.sqlite3"), itertools.count(1)

    def pay_meanwhile(_) -> None:
        if next(pauses) == 100:
            raise EndlessError
        with contextlib.closing(sqlite3.connect(ledger)) as writing, writing:
            writing.execute("UPDATE accounts SET balance = balance + 1")

    MUTANTS["backup-stepped"].apply(monkeypatch.setattr)
    monkeypatch.setattr(copies, "time", SimpleNamespace(sleep=pay_meanwhile))
    with pytest.raises(EndlessError):
        taking.copy_database(ledger, tmp_path / "endless")
    monkeypatch.setattr(copies, "time", SimpleNamespace(sleep=lambda _: None))
    taking.copy_database(ledger, tmp_path / "copy")
    assert transactions(tmp_path / "copy") == transactions(ledger)
