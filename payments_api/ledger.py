"""Orders to committed transactions in SQLite: double entry, no overdraft, one effect per key.

One writer thread commits what has queued up since its last commit as one SQLite transaction, and answers
only after COMMIT: in WAL mode with synchronous=NORMAL a committed transaction survives the death of the
process (not of the machine's power). Source: https://www.sqlite.org/pragma.html#pragma_synchronous
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import queue
import secrets
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

OPENING_BALANCE: Final = 1_000_000
CURRENCY: Final = "EUR"
SCHEMA_VERSION: Final = 1
"""In `PRAGMA user_version`; a backup of a newer one is not restored."""
_LARGEST_GROUP: Final = 256

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
CREATE TABLE IF NOT EXISTS identity (only INTEGER PRIMARY KEY CHECK (only = 1), ledger_id TEXT NOT NULL);
"""


@dataclass(frozen=True)
class Order:
    debit: str
    credit: str
    amount: int
    """Minor units."""
    currency: str

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Result:
    """What an order came to: 201 with the transaction, or a refusal with its problem kind as `body['kind']`."""

    status: int
    body: dict[str, Any]
    replayed: bool = False


class KeyReusedError(Exception):
    """The idempotency key came with another order before."""


class UnusableDatabaseError(Exception):
    """One line: this file is no ledger, or a newer one, or can't be written to."""


class KeyInFlightError(Exception):
    """The same key is being worked on."""


_Job = tuple[Callable[[sqlite3.Connection], Any], "asyncio.Future[Any]"]


def create_database(path: str, accounts: int) -> None:
    """The schema, an id of its own, and as many funded accounts; what is there already stays.

    UnusableDatabaseError; a newer schema's file has then not been touched.
    """
    try:
        _refuse_newer(path)
        with closing(_connect(path)) as connection:
            _create(connection, accounts)
    except sqlite3.Error as error:
        remedy = "name a ledger, or a new file in a directory that can be written to"
        raise UnusableDatabaseError(f"{path}: can't be served, got {error}; {remedy}") from None


def _refuse_newer(path: str) -> None:
    if not os.path.isfile(path):  # noqa: PTH113 - it is a path of SQLite's
        return
    # By a connection that can't write: the last other one to close would move its log into the file.
    with closing(sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True)) as connection:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA_VERSION:
        got = f"a ledger of schema {version}, and this version knows {SCHEMA_VERSION}"
        raise UnusableDatabaseError(f"{path}: can't be served, got {got}; use the version that made it")


def _create(connection: sqlite3.Connection, accounts: int) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.executescript(_SCHEMA)
    connection.execute("BEGIN IMMEDIATE")
    if connection.execute("PRAGMA user_version").fetchone()[0] < SCHEMA_VERSION:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    # Additive, and older versions don't look at it: it makes no newer schema.
    connection.execute("INSERT OR IGNORE INTO identity VALUES (1, ?)", (secrets.token_hex(8),))
    connection.executemany(
        "INSERT OR IGNORE INTO accounts VALUES (?, ?, ?)",
        ((f"acct-{number:06d}", CURRENCY, OPENING_BALANCE) for number in range(accounts)),
    )
    connection.execute("COMMIT")


def ledger_id(connection: sqlite3.Connection) -> str | None:
    """16 hexadecimal digits that no other ledger has; None for one that no version with ids has opened."""
    if connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'identity'").fetchone() is None:
        return None
    row = connection.execute("SELECT ledger_id FROM identity").fetchone()
    return None if row is None else str(row[0])


class Ledger:
    """One a process, on a database that was created before.

    Reads answer at once from a connection of their own; writes queue for the writer.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._reader = _connect(path)
        self._reader.execute("PRAGMA query_only=1")
        self._keys_in_flight: set[str] = set()
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._write_until_closed, name="ledger-writer", daemon=True)
        self._writer.start()

    def close(self) -> None:
        """Commit what has been taken in, then stop."""
        self._jobs.put(None)
        self._writer.join()
        self._reader.close()

    def is_readable(self) -> bool:
        try:
            self._reader.execute("SELECT 1 FROM accounts LIMIT 1").fetchone()
        except sqlite3.Error:
            return False
        return True

    def account(self, account: str) -> dict[str, Any] | None:
        row = self._reader.execute("SELECT id, balance, currency FROM accounts WHERE id = ?", (account,)).fetchone()
        return None if row is None else {"account": row[0], "balance": row[1], "currency": row[2]}

    def transaction(self, transaction_id: str) -> dict[str, Any] | None:
        row = self._reader.execute(
            "SELECT id, debit, credit, amount, currency, created_at FROM transactions WHERE id = ?", (transaction_id,)
        ).fetchone()
        names = ("id", "debit", "credit", "amount", "currency", "created_at")
        return None if row is None else dict(zip(names, row, strict=True))

    async def pay(self, key: str, order: Order) -> Result:
        """Carry the order out once for this key; KeyReusedError, KeyInFlightError."""
        if key in self._keys_in_flight:
            raise KeyInFlightError
        self._keys_in_flight.add(key)
        try:
            result: Result = await self._written(lambda connection: _pay(connection, key, order))
        finally:
            self._keys_in_flight.discard(key)
        return result

    async def take_webhook(self, provider: str, event_id: str, body: bytes) -> bool:
        """Take the event in; False when it was taken before."""
        row = (provider, event_id, _now(), body)
        taken: bool = await self._written(
            lambda connection: (
                connection.execute("INSERT OR IGNORE INTO webhook_events VALUES (?, ?, ?, ?)", row).rowcount == 1
            )
        )
        return taken

    async def _written(self, work: Callable[[sqlite3.Connection], Any]) -> Any:
        future = asyncio.get_running_loop().create_future()
        self._jobs.put((work, future))
        # A client that hangs up must not take the key out of flight before the writer is through.
        return await asyncio.shield(future)

    def _write_until_closed(self) -> None:
        connection = _connect(self._path)
        open_for_business = True
        while open_for_business:
            jobs = [self._jobs.get()]
            while len(jobs) < _LARGEST_GROUP and not self._jobs.empty():
                jobs.append(self._jobs.get())
            open_for_business = None not in jobs
            _commit_together(connection, [job for job in jobs if job is not None])
        connection.close()


def _commit_together(connection: sqlite3.Connection, jobs: list[_Job]) -> None:
    """One SQLite transaction, each job in a savepoint; every future is settled after COMMIT."""
    outcomes: list[tuple[asyncio.Future[Any], Any, BaseException | None]] = []
    try:
        connection.execute("BEGIN IMMEDIATE")
        for work, future in jobs:
            connection.execute("SAVEPOINT job")
            try:
                outcomes.append((future, work(connection), None))
            except Exception as error:  # noqa: BLE001 - it belongs to the request that waits for it
                connection.execute("ROLLBACK TO job")
                outcomes.append((future, None, error))
            connection.execute("RELEASE job")
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        outcomes = [(future, None, error) for _, future in jobs]
    for future, value, failure in outcomes:
        future.get_loop().call_soon_threadsafe(_settle, future, value, failure)


def _settle(future: asyncio.Future[Any], value: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(value)
    else:
        future.set_exception(error)


def _pay(connection: sqlite3.Connection, key: str, order: Order) -> Result:
    seen = connection.execute("SELECT fingerprint, status, body FROM idempotency WHERE key = ?", (key,)).fetchone()
    if seen is not None:
        if seen[0] != order.fingerprint:
            raise KeyReusedError
        return Result(seen[1], json.loads(seen[2]), replayed=True)
    result = _carry_out(connection, order)
    connection.execute(
        "INSERT INTO idempotency VALUES (?, ?, ?, ?)", (key, order.fingerprint, result.status, json.dumps(result.body))
    )
    return result


def _carry_out(connection: sqlite3.Connection, order: Order) -> Result:
    currencies = dict(
        connection.execute(
            "SELECT id, currency FROM accounts WHERE id IN (?, ?)", (order.debit, order.credit)
        ).fetchall()
    )
    if order.debit == order.credit:
        return Result(422, {"kind": "same-account", "detail": "Debit and credit are the same account."})
    if len(currencies) < 2:
        return Result(404, {"kind": "unknown-account", "detail": "There is no such account."})
    if set(currencies.values()) != {order.currency}:
        return Result(422, {"kind": "currency-mismatch", "detail": "An account has another currency."})
    taken = connection.execute(
        "UPDATE accounts SET balance = balance - ? WHERE id = ? AND balance >= ?",
        (order.amount, order.debit, order.amount),
    )
    if taken.rowcount == 0:
        return Result(422, {"kind": "insufficient-funds", "detail": "The balance doesn't cover the amount."})
    connection.execute("UPDATE accounts SET balance = balance + ? WHERE id = ?", (order.amount, order.credit))
    transaction = {"id": uuid.uuid4().hex, **asdict(order), "created_at": _now()}
    connection.execute(
        "INSERT INTO transactions VALUES (:id, :debit, :credit, :amount, :currency, :created_at)", transaction
    )
    connection.executemany(
        "INSERT INTO postings VALUES (?, ?, ?)",
        [(transaction["id"], order.debit, -order.amount), (transaction["id"], order.credit, order.amount)],
    )
    return Result(201, transaction)


def _connect(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=5.0, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA foreign_keys=ON")
    return connection


def _now() -> str:
    return datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="microseconds")
