"""Ledgers that break one promise each, and honest ones that look odd."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from typing import TYPE_CHECKING, Any

from bench.adversary.audited import LITTLE, audited, ledger, target
from bench.adversary.bank import Answer
from bench.adversary.books import Books, Row
from bench.adversary.case import INCONCLUSIVE, PASS

if TYPE_CHECKING:
    from bench.adversary.wire import Request, Wire


class _Rounding(Books):
    def book(self, key: str, order: Row) -> Row:
        row = super().book(key, order)
        self.rows[row["id"]] = row | {"amount": order["amount"] // 10 * 10}
        return row


class _Swapping(Books):
    """Moves the money as ordered, but swaps debit and credit in one row of 300."""

    def book(self, key: str, order: Row) -> Row:
        row = super().book(key, order)
        if self.commits % 300 == 0:
            self.rows[row["id"]] = row | {"debit": row["credit"], "credit": row["debit"]}
        return row


class _OnlyInLists(Books):
    def shown(self, payment: str) -> Answer:
        return Answer({"title": "no such payment"}, 404) if int(payment[:4], 16) % 40 == 0 else super().shown(payment)


class _OnlyById(Books):
    def listed(self, account: str) -> list[Row]:
        return [row for row in super().listed(account) if int(row["id"][:4], 16) % 40]


class _AnothersId(Books):
    """One 201 in 40 has the id of an earlier payment."""

    def acknowledged(self, row: Row) -> Answer:
        other = list(self.rows)[-min(len(self.rows), 10)]
        return super().acknowledged(row | {"id": other} if self.commits % 40 == 0 else row)


class _Fee(Books):
    """Takes a fee for larger payments, and credits it to no account."""

    def move(self, order: Row) -> None:
        super().move(order)
        self.balances[order["credit"]] -= order["amount"] > 500


class _SlowCredit(Books):
    def move(self, order: Row) -> None:
        self.balances[order["debit"]] -= order["amount"]
        asyncio.get_running_loop().call_later(0.2, self._credit, order)

    def _credit(self, order: Row) -> None:
        self.balances[order["credit"]] += order["amount"]


class _ShortMemory(Books):
    """Forgets keys after three seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.told_s: dict[str, float] = {}

    async def paid(self, request: Request) -> Answer:
        key = request.header("idempotency-key")
        if time.monotonic() - self.told_s.setdefault(key, time.monotonic()) > 3:
            self.keys.pop(key, None)
        return await super().paid(request)


class _AmountsOnly(Books):
    def is_same(self, before: Row, order: Row) -> bool:
        return bool(before["amount"] == order["amount"])


class _PartiesOnly(Books):
    def is_same(self, before: Row, order: Row) -> bool:
        return bool(before["debit"] == order["debit"])


class _NewIds(Books):
    """Moves the money once, but answers each retry with a new id."""

    async def paid(self, request: Request) -> Answer:
        is_known = request.header("idempotency-key") in self.keys
        answer = await super().paid(request)
        if not is_known or answer.status != 201:
            return answer
        row = answer.content | {"id": uuid.uuid4().hex}
        self.rows[row["id"]] = row
        return self.acknowledged(row)


class _Credit(Books):
    """Every account may be overdrawn, up to a limit."""

    def covers(self, order: Row) -> bool:
        return self.balances[order["debit"]] + 1_000 >= int(order["amount"])


class _Losing(Books):
    def commit(self, key: str, order: Row) -> Answer:
        self.commits += 1
        if self.commits % 50 == 0:
            return self.acknowledged({"id": uuid.uuid4().hex, **order})
        self.commits -= 1
        return super().commit(key, order)


class _Refusing(Books):
    """Refuses some payments after booking them."""

    def acknowledged(self, row: Row) -> Answer:
        return Answer({"title": "not enough"}, 422) if self.commits % 40 == 0 else super().acknowledged(row)


class _StaleBalances(Books):
    def __init__(self) -> None:
        super().__init__()
        self.copy, self.copied_s = dict(self.balances), 0.0

    def balance(self, account: str) -> int:
        if time.monotonic() - self.copied_s > 0.5:
            self.copy, self.copied_s = dict(self.balances), time.monotonic()
        return self.copy[account]


class _Bonus(Books):
    """Every hundredth payment also books one to its creditor that nobody ordered."""

    def commit(self, key: str, order: Row) -> Answer:
        if self.commits % 100 == 99:
            gift = order | {"amount": 1}
            self.move(gift)
            self.book("", gift)
        return super().commit(key, order)


class _Racing(Books):
    """Checks whether it knows the key, and takes its time before booking."""

    async def paid(self, request: Request) -> Answer:
        key, order = request.header("idempotency-key"), json.loads(request.body)
        if key in self.keys:
            return await super().paid(request)
        await asyncio.sleep(0.002)
        answer = self.commit(key, order)
        self.keys[key] = order, answer
        return answer


class _Failing(Books):
    """Some answers are a 500 although the payment was made; a retry with the same key shows it."""

    async def answer(self, request: Request) -> Answer:
        answer = await super().answer(request)
        is_payment = request.method == "POST" and request.number % 25 == 0
        return Answer({"title": "sorry"}, 500) if is_payment else answer


class _Breaking(Books):
    """Resets some connections after the work was done, without an answer."""

    async def __call__(self, request: Request, wire: Wire) -> None:
        answer = await self.answer(request)
        if request.method == "POST" and request.number % 25 == 0:
            wire.reset()
        else:
            await wire.send(answer.whole())


class _Lax(Books):
    """The key of a refused payment may be used again."""

    async def paid(self, request: Request) -> Answer:
        answer = await super().paid(request)
        key = request.header("idempotency-key")
        if key in self.keys and self.keys[key][1].status != 201:
            del self.keys[key]
        return answer


class _Busy(Books):
    """Other clients pay from and to the same accounts."""

    def commit(self, key: str, order: Row) -> Answer:
        if self.commits % 10 == 0:
            gift = order | {"amount": 1, "debit": order["credit"], "credit": order["debit"]}
            self.move(gift)
            self.book("", gift)
        return super().commit(key, order)


_IN_300: dict[str, Any] = {"thresholds": [{"audit": "ledger", "detects": "1 in 300"}, LITTLE]}
_KIND = "broken ledger"

CASES = (
    audited(_KIND, "rounds", "amounts are shown to the ten below", _Rounding, ledger()),
    audited(_KIND, "swaps parties", "one payment in 300", _Swapping, ledger(seconds=11, **_IN_300)),
    audited(_KIND, "only in lists", "one payment in 40 isn't found by its id", _OnlyInLists, ledger()),
    audited(_KIND, "only by id", "one payment in 40 is in no list", _OnlyById, ledger()),
    audited(_KIND, "another payment's id", "one 201 in 40 names another payment", _AnothersId, ledger()),
    audited(_KIND, "takes a fee", "a cent of each larger payment is gone", _Fee, ledger()),
    audited(_KIND, "credits later", "money is nowhere for 200 ms", _SlowCredit, ledger()),
    audited(_KIND, "forgets keys", "a key is new again after three seconds", _ShortMemory, ledger(seconds=8)),
    audited(_KIND, "compares amounts", "a used key with other parties is acknowledged", _AmountsOnly, ledger()),
    audited(_KIND, "compares debtors", "a used key with another amount is acknowledged", _PartiesOnly, ledger()),
    audited(_KIND, "new id each time", "the same key is acknowledged with another id", _NewIds, ledger()),
    audited(_KIND, "gives credit", "accounts may be overdrawn by ten euros", _Credit, ledger()),
    audited(_KIND, "loses commits", "one payment in 50 is acknowledged and nowhere", _Losing, ledger()),
    audited(_KIND, "refuses what it booked", "one payment in 40", _Refusing, ledger()),
    audited(_KIND, "old balances", "balances are up to half a second old", _StaleBalances, ledger()),
    audited(_KIND, "a present", "every hundredth creditor gets a cent more, with a row", _Bonus, ledger()),
    audited(_KIND, "keys race", "a key guards nothing for two milliseconds", _Racing, ledger()),
    audited("honest ledger", "a right ledger", "keeps every promise", Books, ledger(), right=(PASS,)),
    audited("honest ledger", "500 when all is done", "the key tells", _Failing, ledger(), right=(PASS,)),
    audited("honest ledger", "reset when all is done", "the key tells", _Breaking, ledger(), right=(PASS,)),
    audited("honest ledger", "lax", "refused keys may be used again", _Lax, ledger(), right=(PASS,)),
    audited(
        "honest ledger",
        "others pay, too",
        "accounts are not the run's alone",
        _Busy,
        ledger(),
        right=(PASS, INCONCLUSIVE),
        target_file=target(exclusive=False),
    ),
)
