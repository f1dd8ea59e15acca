"""Determines what a copy of a ledger holds, once SQLite finds it intact and the books balance."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict

from payments_api.backups.mistakes import UnusableError
from payments_api.ledgerfile import OPENING_BALANCE, SCHEMA_VERSION, ledger_id

if TYPE_CHECKING:
    from pathlib import Path

_REMEDY: Final = "don't rely on it, and look at the database that it comes from"
_BROKEN_BY: Final = {
    "a balance is negative": "SELECT id FROM accounts WHERE balance < 0",
    "a balance is not the opening balance plus its postings": f"""
        SELECT id FROM accounts LEFT JOIN (SELECT account, SUM(amount) AS moved FROM postings GROUP BY account)
        ON account = id WHERE balance <> {OPENING_BALANCE} + COALESCE(moved, 0)""",  # noqa: S608 - our own number
    "the balances are not what was paid in": f"""
        SELECT SUM(balance) FROM accounts HAVING SUM(balance) <> {OPENING_BALANCE} * COUNT(*)""",  # noqa: S608 - as above
    "a posting has no account": "SELECT rowid FROM postings WHERE account NOT IN (SELECT id FROM accounts)",
    "a posting has no transaction": """
        SELECT rowid FROM postings WHERE transaction_id NOT IN (SELECT id FROM transactions)""",
    "the postings of a transaction are not its debit and its credit": """
        SELECT id FROM transactions LEFT JOIN postings ON transaction_id = id GROUP BY id HAVING COUNT(account) <> 2
        OR SUM(account = debit AND postings.amount = -transactions.amount) <> 1
        OR SUM(account = credit AND postings.amount = transactions.amount) <> 1""",
    "a transaction has no idempotency key": """
        SELECT id FROM transactions
        WHERE id NOT IN (SELECT json_extract(body, '$.id') FROM idempotency WHERE status = 201)""",
    "an idempotency key answers with a transaction that is not there": """
        SELECT key FROM idempotency
        WHERE status = 201 AND json_extract(body, '$.id') NOT IN (SELECT id FROM transactions)""",
    "two idempotency keys answer with one transaction": """
        SELECT json_extract(body, '$.id') FROM idempotency WHERE status = 201 GROUP BY 1 HAVING COUNT(*) > 1""",
}
"""What must not occur, and the query that finds it."""


class Contents(BaseModel):
    """The number of rows of each table, and sums in minor units."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    accounts: int
    transactions: int
    postings: int
    idempotency: int
    webhook_events: int
    balances_sum: int
    amounts_sum: int


def check_ledger(file: Path, *, name: str) -> Contents:
    """What this file, open to nobody, holds; UnusableError, under `name`, for the first promise that it breaks."""
    try:
        # Nobody writes to it: no locks, and no log or index file beside it.
        with closing(sqlite3.connect(f"file:{quote(str(file))}?immutable=1", uri=True)) as database:
            _check_file(database, name)
            for what, query in _BROKEN_BY.items():
                broken = database.execute(query).fetchone()
                if broken is not None:
                    raise UnusableError(name, what, _REMEDY, got=broken[0])
            return _contents(database)
    except sqlite3.Error as error:
        raise UnusableError(name, "is not a complete ledger", _REMEDY, got=error) from None


def schema_of(file: Path) -> int:
    """The version that the ledger wrote; ledgers from before versions count as the first."""
    with closing(sqlite3.connect(f"file:{quote(str(file))}?immutable=1", uri=True)) as database:
        version: int = database.execute("PRAGMA user_version").fetchone()[0]
    return version or 1


def ledger_id_of(file: Path, *, live: bool = False) -> str | None:
    """None if there is none, or no readable database. `live`: other processes may have it open."""
    how = "mode=ro" if live else "immutable=1"
    try:
        with closing(sqlite3.connect(f"file:{quote(str(file))}?{how}", uri=True)) as database:
            return ledger_id(database)
    except sqlite3.Error:
        return None


def _check_file(database: sqlite3.Connection, name: str) -> None:
    version = database.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA_VERSION:
        raise UnusableError(
            name, f"has a schema newer than {SCHEMA_VERSION}", "use the version that created it", got=version
        )
    found = database.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if found != "ok":
        raise UnusableError(name, "SQLite finds it damaged", _REMEDY, got=found)


def _contents(database: sqlite3.Connection) -> Contents:
    tables = ("accounts", "transactions", "postings", "idempotency", "webhook_events")
    rows = {table: database.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0] for table in tables}  # noqa: S608
    balances = database.execute("SELECT COALESCE(SUM(balance), 0) FROM accounts").fetchone()[0]
    amounts = database.execute("SELECT COALESCE(SUM(amount), 0) FROM transactions").fetchone()[0]
    return Contents(**rows, balances_sum=balances, amounts_sum=amounts)
