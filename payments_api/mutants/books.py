"""Ledgers that lose money or payments, or pay twice."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
import time
from typing import Any, Final

from payments_api import ledger
from payments_api.ledger import Job, Ledger
from payments_api.mutants.mutant import Replace, mutant
from payments_api.payments import Order, Result, carry_out, earlier_result, pay_once, remember

_ELSEWHERE_S: Final = 0.05
"""Time that another service takes to screen an order or send a receipt."""
_FILLING_S: Final = 0.1
"""How long COMMIT waits for more payments to join."""
_CACHED_S: Final = 1.0


@mutant(11, also={15: "a copy of wrong balances is no backup"})
def balance_race(replace: Replace) -> None:
    """Two payments at once, and the balances lose one: they are read, the order is screened, then they are written."""

    async def pay(self: Ledger, key: str, order: Order) -> Result:
        def write(connection: sqlite3.Connection) -> Result:
            connection.executemany("UPDATE accounts SET balance = ? WHERE id = ?", read)
            return pay_once(connection, key, order)

        with self._in_flight(key):
            held = filter(None, map(self.account, (order.debit, order.credit)))
            read = [(account["balance"], account["account"]) for account in held]
            await asyncio.sleep(_ELSEWHERE_S)
            result: Result = await self._written(write)
        return result

    replace(Ledger, "pay", pay)


@mutant(11)
def stale_cache(replace: Replace) -> None:
    """A client that has just paid sees its old balance: it is cached for a second, and payments don't clear it."""
    cache: dict[str, tuple[float, dict[str, Any] | None]] = {}
    true = Ledger.account

    def account(self: Ledger, account: str) -> dict[str, Any] | None:
        until_s, shown = cache.get(account, (0.0, None))
        if until_s < time.monotonic():
            shown = true(self, account)
            cache[account] = time.monotonic() + _CACHED_S, shown
        return shown

    replace(Ledger, "account", account)


@mutant(12, also={11: "what isn't committed yet can't be read", 15: "nor can a backup"})
def acknowledged_before_commit(replace: Replace) -> None:
    """A crash loses acknowledged payments: the answer is sent first, and COMMIT waits for more payments to join."""

    def commit_together(connection: sqlite3.Connection, jobs: list[Job]) -> None:
        connection.execute("BEGIN IMMEDIATE")
        for work, future in jobs:
            ledger.answer(future, *ledger.outcome_of(work, connection))
        time.sleep(_FILLING_S)
        connection.execute("COMMIT")

    replace(ledger, "commit_together", commit_together)


@mutant(
    12,
    also={
        11: "what was paid twice is in the balances twice",
        15: "a backup between the two finds a payment without a key, and refuses to be one",
    },
)
def key_outside_transaction(replace: Replace) -> None:
    """A retry after a crash pays twice: the key is stored in its own transaction, after the receipt was sent."""

    async def pay(self: Ledger, key: str, order: Order) -> Result:
        with self._in_flight(key):
            result: Result = await self._written(lambda of: earlier_result(of, key, order) or carry_out(of, order))
            if not result.replayed:
                await asyncio.sleep(_ELSEWHERE_S)
                await self._written(lambda of: remember(of, key, order, result))
        return result

    replace(Ledger, "pay", pay)


@mutant(
    12,
    also=dict.fromkeys((11, 15), "an acknowledged payment is neither in the balances nor in a backup"),
    number=5_000,
)
def commit_lost(replace: Replace, every: int) -> None:
    """One payment in 5,000 is acknowledged but missing: its transaction was rolled back, and the code didn't check."""
    numbers = itertools.count(1)

    def lost_now_and_then(connection: sqlite3.Connection, key: str, order: Order) -> Result:
        result = pay_once(connection, key, order)
        if result.status == 201 and not result.replayed and next(numbers) % every == 0:
            connection.execute("ROLLBACK TO job")
        return result

    replace(ledger, "pay_once", lost_now_and_then)


@mutant(13, also=dict.fromkeys((11, 12, 15), "the second payment under a key moves money, but belongs to no request"))
def check_then_insert(replace: Replace) -> None:
    """Two requests at once with one key are two payments: the key is checked before the transaction begins."""

    async def pay(self: Ledger, key: str, order: Order) -> Result:
        def insert(connection: sqlite3.Connection) -> Result:
            result = carry_out(connection, order)
            connection.execute("DELETE FROM idempotency WHERE key = ?", (key,))
            remember(connection, key, order, result)
            return result

        result: Result = earlier_result(self._reader, key, order) or await self._written(insert)
        return result

    replace(Ledger, "pay", pay)
