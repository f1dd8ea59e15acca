"""Turns one process's orders and events into committed transactions in SQLite.

One writer thread commits everything queued since its last commit as one SQLite transaction, and only answers after
COMMIT: in WAL mode with synchronous=NORMAL a committed transaction survives a crash of the process (but not a power
failure). Source: https://www.sqlite.org/pragma.html#pragma_synchronous
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from payments_api.ledgerfile import connect, create_database
from payments_api.payments import KeyReusedError, Order, Result, pay_once
from payments_api.webhooks import take_once

__all__ = ["KeyInFlightError", "KeyReusedError", "Ledger", "Order", "Result", "create_database"]
"""Everything that a caller needs to make payments."""

_LARGEST_GROUP: Final = 256


class KeyInFlightError(Exception):
    """An order with the same key is being processed."""


_Work = Callable[[sqlite3.Connection], Any]
Job = tuple[_Work, "asyncio.Future[Any]"]


class Ledger:
    """One per process, on a database that already exists.

    Reads are answered immediately from a separate connection; writes queue for the writer.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._reader = connect(path)
        self._reader.execute("PRAGMA query_only=1")
        self._keys_in_flight: set[str] = set()
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._write_until_closed, name="ledger-writer", daemon=True)
        self._writer.start()

    def close(self) -> None:
        """Commit all accepted work, then stop."""
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
        """The account's id, currency and balance in minor units; None if it doesn't exist."""
        row = self._reader.execute("SELECT id, balance, currency FROM accounts WHERE id = ?", (account,)).fetchone()
        return None if row is None else {"account": row[0], "balance": row[1], "currency": row[2]}

    def transaction(self, transaction_id: str) -> dict[str, Any] | None:
        """The booked payment; None if it doesn't exist."""
        row = self._reader.execute(
            "SELECT id, debit, credit, amount, currency, created_at FROM transactions WHERE id = ?", (transaction_id,)
        ).fetchone()
        names = ("id", "debit", "credit", "amount", "currency", "created_at")
        return None if row is None else dict(zip(names, row, strict=True))

    def rows(self, query: str, *values: str) -> list[dict[str, Any]]:
        """The rows of a read-only query, each as a dict from column to value."""
        found = self._reader.execute(query, values)
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    async def pay(self, key: str, order: Order) -> Result:
        """Carry out the order once for this key; raises KeyReusedError or KeyInFlightError."""
        with self._in_flight(key):
            result: Result = await self._written(lambda connection: pay_once(connection, key, order))
        return result

    async def take_webhook(self, provider: str, event_id: str, body: bytes) -> bool:
        """Accept the event and apply its effect; False if it was accepted before."""
        taken: bool = await self._written(lambda connection: take_once(connection, provider, event_id, body))
        return taken

    @contextmanager
    def _in_flight(self, key: str) -> Iterator[None]:
        """Hold the key while its order is processed; raises KeyInFlightError if it is already held."""
        if key in self._keys_in_flight:
            raise KeyInFlightError
        self._keys_in_flight.add(key)
        try:
            yield
        finally:
            self._keys_in_flight.discard(key)

    async def _written(self, work: _Work) -> Any:
        future = asyncio.get_running_loop().create_future()
        self._jobs.put((work, future))
        # If a client hangs up, the key must stay in flight until the writer is done.
        return await asyncio.shield(future)

    def _write_until_closed(self) -> None:
        connection = connect(self._path)
        open_for_business = True
        while open_for_business:
            jobs = [self._jobs.get()]
            while len(jobs) < _LARGEST_GROUP and not self._jobs.empty():
                jobs.append(self._jobs.get())
            open_for_business = None not in jobs
            commit_together(connection, [job for job in jobs if job is not None])
        connection.close()


def commit_together(connection: sqlite3.Connection, jobs: list[Job]) -> None:
    """Run all jobs in one SQLite transaction, and answer each of them after COMMIT."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        outcomes = [outcome_of(work, connection) for work, _ in jobs]
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        outcomes = [(None, error)] * len(jobs)
    for (_, future), outcome in zip(jobs, outcomes, strict=True):
        answer(future, *outcome)


def outcome_of(work: _Work, connection: sqlite3.Connection) -> tuple[Any, Exception | None]:
    """The work's result and exception; in a savepoint, so that other jobs in the transaction don't fail with it."""
    value, failure = None, None
    connection.execute("SAVEPOINT job")
    try:
        value = work(connection)
    except Exception as error:  # noqa: BLE001 - re-raised in the request that waits for it
        connection.execute("ROLLBACK TO job")
        failure = error
    connection.execute("RELEASE job")
    return value, failure


def answer(future: asyncio.Future[Any], value: Any, failure: Exception | None) -> None:
    """Resolve the future from another thread than its event loop's."""
    future.get_loop().call_soon_threadsafe(_settle, future, value, failure)


def _settle(future: asyncio.Future[Any], value: Any, failure: Exception | None) -> None:
    if future.done():
        return
    if failure is None:
        future.set_result(value)
    else:
        future.set_exception(failure)
