"""Each broken promise of the ledger is found in a copy."""

from __future__ import annotations

import re

import pytest

from payments_api.backups.application import BROKEN_BY
from payments_api.backups.mistakes import UnusableError
from payments_api.backups.proof.checking import check_ledger, schema_of
from tests.payments_api.backups.books import changed, new_ledger

BREAKS = {
    "a balance is negative": [
        "UPDATE accounts SET balance = -1 WHERE id = 'acct-000002'",
        "UPDATE accounts SET balance = 2000001 WHERE id = 'acct-000003'",
    ],
    "a balance is not the opening balance plus its postings": [
        "UPDATE accounts SET balance = balance - 1 WHERE id = 'acct-000002'",
        "UPDATE accounts SET balance = balance + 1 WHERE id = 'acct-000003'",
    ],
    "the balances are not what was paid in": [
        "INSERT INTO postings SELECT MAX(id), 'acct-000002', 7 FROM transactions",
        "UPDATE accounts SET balance = balance + 7 WHERE id = 'acct-000002'",
    ],
    "a posting has no account": [
        "INSERT INTO postings SELECT MAX(id), 'nobody', 0 FROM transactions",
    ],
    "a posting has no transaction": [
        "INSERT INTO postings VALUES ('none', 'acct-000002', 7), ('none', 'acct-000003', -7)",
        "UPDATE accounts SET balance = balance + 7 WHERE id = 'acct-000002'",
        "UPDATE accounts SET balance = balance - 7 WHERE id = 'acct-000003'",
    ],
    "the postings of a transaction are not its debit and its credit": [
        "UPDATE transactions SET amount = 2 WHERE id = (SELECT MAX(id) FROM transactions)",
    ],
    "a transaction has no idempotency key": ["DELETE FROM idempotency WHERE key = 'key-1'"],
    "an idempotency key answers with a transaction that is not there": [
        "INSERT INTO idempotency VALUES ('lost', '', 201, '{\"id\": \"lost\"}')",
    ],
    "two idempotency keys answer with one transaction": [
        "INSERT INTO idempotency SELECT 'twice', fingerprint, status, body FROM idempotency WHERE key = 'key-1'",
    ],
}


def test_every_checked_promise_has_a_test_that_breaks_it():
    """No check is useless."""
    assert set(BREAKS) == set(BROKEN_BY)


@pytest.mark.parametrize("promise", BREAKS)
def test_a_broken_promise_is_found(tmp_path, promise):
    """And no other is named; before the break all of them hold."""
    path = new_ledger(tmp_path / "ledger.sqlite3")
    check_ledger(path, name="copy")
    with changed(path) as database:
        for statement in BREAKS[promise]:
            database.execute(statement)
    found = "(CHECK constraint failed|a balance is negative)" if "negative" in promise else re.escape(promise)
    with pytest.raises(UnusableError, match=f"^copy: .*{found}"):
        check_ledger(path, name="copy")


@pytest.mark.slow
def test_a_flipped_bit_in_a_page_is_found(tmp_path):
    """Wherever it is in a page of payments, SQLite or the books notice it, or it belongs to no row."""
    path = new_ledger(tmp_path / "ledger.sqlite3", payments=40)
    whole = path.read_bytes()
    contents = check_ledger(path, name="copy")
    noticed = 0
    for position in range(4096, len(whole), 509):
        damaged = bytearray(whole)
        damaged[position] ^= 64
        path.write_bytes(damaged)
        try:
            assert check_ledger(path, name="copy") == contents
        except UnusableError:
            noticed += 1
    assert noticed > 10


def test_a_newer_schema_is_refused(tmp_path):
    """A ledger from before versions counts as version 1."""
    path = new_ledger(tmp_path / "ledger.sqlite3")
    assert schema_of(path) == 1
    with changed(path) as database:
        database.execute("PRAGMA user_version = 0")
    assert schema_of(path) == 1
    check_ledger(path, name="copy")
    with changed(path) as database:
        database.execute("PRAGMA user_version = 2")
    with pytest.raises(UnusableError, match="copy: has a schema newer than 1, got 2; use the version that created it"):
        check_ledger(path, name="copy")
