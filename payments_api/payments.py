"""Turns orders into rows of the ledger: double entry, no overdraft, one effect per key."""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import sqlite3


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
    """The result of an order: 201 with the transaction, or a refusal with its problem kind as `body['kind']`."""

    status: int
    body: dict[str, Any]
    replayed: bool = False


class KeyReusedError(Exception):
    """The idempotency key was used with another order before."""


def pay_once(connection: sqlite3.Connection, key: str, order: Order) -> Result:
    """Carry out the order within the caller's transaction, or return the key's earlier result.

    Raises KeyReusedError if the key was used with another order.
    """
    earlier = earlier_result(connection, key, order)
    if earlier is not None:
        return earlier
    result = carry_out(connection, order)
    remember(connection, key, order, result)
    return result


def earlier_result(connection: sqlite3.Connection, key: str, order: Order) -> Result | None:
    """The stored result for this key, or None; raises KeyReusedError if the key was used with another order."""
    row = connection.execute("SELECT fingerprint, status, body FROM idempotency WHERE key = ?", (key,)).fetchone()
    if row is None:
        return None
    fingerprint, status, body = row
    if fingerprint != order.fingerprint:
        raise KeyReusedError
    return Result(status, json.loads(body), replayed=True)


def remember(connection: sqlite3.Connection, key: str, order: Order, result: Result) -> None:
    connection.execute(
        "INSERT INTO idempotency VALUES (?, ?, ?, ?)", (key, order.fingerprint, result.status, json.dumps(result.body))
    )


def carry_out(connection: sqlite3.Connection, order: Order) -> Result:
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
    transaction = {"id": uuid.uuid4().hex, **asdict(order), "created_at": now()}
    connection.execute(
        "INSERT INTO transactions VALUES (:id, :debit, :credit, :amount, :currency, :created_at)", transaction
    )
    connection.executemany(
        "INSERT INTO postings VALUES (?, ?, ?)",
        [(transaction["id"], order.debit, -order.amount), (transaction["id"], order.credit, order.amount)],
    )
    return Result(201, transaction)


def now() -> str:
    """UTC, in the ledger's format."""
    return datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="microseconds")
