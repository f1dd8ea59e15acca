"""Everything backups know about the application: to back up your own, rewrite this file and serving.py only."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from payments_api.ledgerfile import OPENING_BALANCE, SCHEMA_VERSION, ledger_id

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

__all__ = ["BROKEN_BY", "CONTENTS", "READY", "SCHEMA_VERSION", "database_id", "question", "server"]

BROKEN_BY: Final = {
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
"""Broken invariants, and for each the query that finds violations."""

CONTENTS: Final = {
    **{
        table: f"SELECT COUNT(*) FROM {table}"  # noqa: S608 - our own names
        for table in ("transactions", "accounts", "webhook_events", "postings", "idempotency")
    },
    "balances_sum": "SELECT COALESCE(SUM(balance), 0) FROM accounts",
    "amounts_sum": "SELECT COALESCE(SUM(amount), 0) FROM transactions",
}
"""Integers in a manifest, and the query for each; the first three are shown to people."""

READY: Final = "/health/ready"
"""The path that answers 200 once the application is ready."""

database_id = ledger_id
"""Takes an open connection; returns the database's unique id, 16 hexadecimal digits, or None if it has none."""


def server(database: Path, port: int) -> tuple[list[str], dict[str, str]]:
    """Arguments and environment with which `serve` serves this file on this port of 127.0.0.1, without backups."""
    from payments_api.settings import VARIABLES

    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    # Two accounts are the fewest that it creates, and the ledger already has them, so this adds no money.
    environment |= {"DATABASE": str(database), "HOST": "127.0.0.1", "LIMITER": "off", "ACCOUNTS": "2"}
    return ["--port", str(port)], environment


def question(database: sqlite3.Connection) -> tuple[str, str, Any]:
    """A path that answers with a JSON object, the name of one of its members, and its value in this database."""
    account, balance = database.execute("SELECT id, balance FROM accounts ORDER BY id LIMIT 1").fetchone() or ("", 0)
    return f"/balance/{quote(account, safe='')}", "balance", balance
