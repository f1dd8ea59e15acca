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
"""What somebody else takes to screen an order, or to send a receipt."""
_FILLING_S: Final = 0.1
"""In which more payments join a COMMIT."""
_CACHED_S: Final = 1.0


@mutant(11, also={15: "what the balances lack, a copy of them lacks too, and is no backup"})
def balance_race(replace: Replace) -> None:
    """Of two payments at once, one is lost in the balances: they are read, the order is screened, they are written."""

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
    """Who has just paid still sees the money: balances come from a cache of a second, which no payment clears."""
    cache: dict[str, tuple[float, dict[str, Any] | None]] = {}
    true = Ledger.account

    def account(self: Ledger, account: str) -> dict[str, Any] | None:
        until_s, shown = cache.get(account, (0.0, None))
        if until_s < time.monotonic():
            shown = true(self, account)
            cache[account] = time.monotonic() + _CACHED_S, shown
        return shown

    replace(Ledger, "account", account)


@mutant(12, also={11: "what is not committed yet, nobody can read", 15: "nor can a backup"})
def acknowledged_before_commit(replace: Replace) -> None:
    """A crash takes payments along that were acknowledged: the answer is sent, and COMMIT waits for more of them."""

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
    """Who tries again after a crash pays twice: the key has a transaction of its own, after the receipt was sent."""

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
    also=dict.fromkeys((11, 15), "what was acknowledged is neither in the balances nor in a backup"),
    number=5_000,
)
def commit_lost(replace: Replace, every: int) -> None:
    """One payment in 5,000 is acknowledged and not there: its transaction was rolled back, and nobody looked."""
    numbers = itertools.count(1)

    def lost_now_and_then(connection: sqlite3.Connection, key: str, order: Order) -> Result:
        result = pay_once(connection, key, order)
        if result.status == 201 and not result.replayed and next(numbers) % every == 0:
            connection.execute("ROLLBACK TO job")
        return result

    replace(ledger, "pay_once", lost_now_and_then)


@mutant(13, also=dict.fromkeys((11, 12, 15), "the second payment under a key moves money, and is nobody's"))
def check_then_insert(replace: Replace) -> None:
    """Two requests with one key at once are two payments: whether it was used is asked before the transaction."""

    async def pay(self: Ledger, key: str, order: Order) -> Result:
        def insert(connection: sqlite3.Connection) -> Result:
            result = carry_out(connection, order)
            connection.execute("DELETE FROM idempotency WHERE key = ?", (key,))
            remember(connection, key, order, result)
            return result

        result: Result = earlier_result(self._reader, key, order) or await self._written(insert)
        return result

    replace(Ledger, "pay", pay)
