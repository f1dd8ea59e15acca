"""The ledger's SQLite file: its schema and version, its initial accounts, its id, and connections to it."""

from __future__ import annotations

import os
import secrets
import sqlite3
from contextlib import closing
from typing import Final
from urllib.parse import quote

OPENING_BALANCE: Final = 1_000_000
"""Minor units."""
CURRENCY: Final = "EUR"
SCHEMA_VERSION: Final = 1
"""Stored in `PRAGMA user_version`; a backup with a newer version is not restored."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS accounts (
    id TEXT PRIMARY KEY, currency TEXT NOT NULL, balance INTEGER NOT NULL CHECK (balance >= 0)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS transactions (
    id TEXT PRIMARY KEY, debit TEXT NOT NULL, credit TEXT NOT NULL, amount INTEGER NOT NULL CHECK (amount > 0),
    currency TEXT NOT NULL, created_at TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS postings (
    transaction_id TEXT NOT NULL REFERENCES transactions (id), account TEXT NOT NULL REFERENCES accounts (id),
    amount INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS idempotency (
    key TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, status INTEGER NOT NULL, body TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS webhook_events (
    provider TEXT NOT NULL, id TEXT NOT NULL, received_at TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (provider, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS webhook_effects (
    provider TEXT NOT NULL, event_id TEXT NOT NULL, applied_at TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS effects_of_event ON webhook_effects (event_id);
CREATE TABLE IF NOT EXISTS identity (only INTEGER PRIMARY KEY CHECK (only = 1), ledger_id TEXT NOT NULL);
"""


class UnusableDatabaseError(Exception):
    """One line: this file is not a ledger, has a newer schema, or can't be written."""


def create_database(path: str, accounts: int) -> None:
    """Create the schema, an id and funded accounts; anything that exists already is kept.

    Raises UnusableDatabaseError if that fails; a file with a newer schema is left untouched.
    """
    try:
        _refuse_newer(path)
        with closing(connect(path)) as connection:
            _create(connection, accounts)
    except sqlite3.Error as error:
        remedy = "name a ledger, or a new file in a directory that can be written to"
        raise UnusableDatabaseError(f"{path}: can't be served, got {error}; {remedy}") from None


def _refuse_newer(path: str) -> None:
    if not os.path.isfile(path):  # noqa: PTH113 - a path for SQLite
        return
    # Opened read-only: closing the last writable connection would move the write-ahead log into the file.
    with closing(sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True)) as connection:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA_VERSION:
        got = f"a ledger of schema {version}, and this version knows {SCHEMA_VERSION}"
        raise UnusableDatabaseError(f"{path}: can't be served, got {got}; use the version that created it")


def _create(connection: sqlite3.Connection, accounts: int) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.executescript(_SCHEMA)
    connection.execute("BEGIN IMMEDIATE")
    if connection.execute("PRAGMA user_version").fetchone()[0] < SCHEMA_VERSION:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    # Older versions ignore this table, so it doesn't need a newer schema version.
    connection.execute("INSERT OR IGNORE INTO identity VALUES (1, ?)", (secrets.token_hex(8),))
    connection.executemany(
        "INSERT OR IGNORE INTO accounts VALUES (?, ?, ?)",
        ((f"acct-{number:06d}", CURRENCY, OPENING_BALANCE) for number in range(accounts)),
    )
    connection.execute("COMMIT")


def ledger_id(connection: sqlite3.Connection) -> str | None:
    """The ledger's unique id, 16 hexadecimal digits; None if only versions without ids have opened it."""
    if connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'identity'").fetchone() is None:
        return None
    row = connection.execute("SELECT ledger_id FROM identity").fetchone()
    return None if row is None else str(row[0])


def connect(path: str) -> sqlite3.Connection:
    """A connection with the promised durability and foreign keys enforced, usable from any thread."""
    connection = sqlite3.connect(path, timeout=5.0, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA foreign_keys=ON")
    return connection
