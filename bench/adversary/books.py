"""A correct payments API with a ledger and effects, which it shows to audits.

Each part is a method, so that a hostile variant overrides one of them. It is written from the protocol alone.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
import uuid
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from bench.adversary.bank import JSON, Answer
from bench.adversary.play import WEBHOOK_SECRET

if TYPE_CHECKING:
    from bench.adversary.wire import Request, Wire

ACCOUNTS: Final = tuple(f"acc-{number:02d}" for number in range(60))
OPENING: Final = 50_000
TOLERANCE_S: Final = 300
Row = dict[str, Any]
ORDER: Final = ("debit", "credit", "amount", "currency")


class Books:
    """One server's state, and its answer to each request."""

    def __init__(self) -> None:
        self.balances = dict.fromkeys(ACCOUNTS, OPENING)
        self.rows: dict[str, Row] = {}
        """Booked payments, by id."""
        self.keys: dict[str, tuple[Row, Answer]] = {}
        """The order and its answer, by idempotency key."""
        self.seen: set[str] = set()
        """Ids of received events."""
        self.effects: Counter[str] = Counter()
        self.commits = 0

    async def __call__(self, request: Request, wire: Wire) -> None:
        await wire.send((await self.answer(request)).whole())

    async def answer(self, request: Request) -> Answer:
        _, *parts = request.path.split("?")[0].split("/")
        match parts:
            case ["health"]:
                return Answer({"status": "ok"})
            case ["transactions"] if request.method == "POST":
                return await self.paid(request)
            case ["webhooks", _]:
                return await self.taken(request)
        return self.read(parts)

    def read(self, parts: list[str]) -> Answer:
        match parts:
            case ["balance", account]:
                return Answer({"account": account, "balance": self.balance(account), "currency": "EUR"})
            case ["transactions", payment]:
                return self.shown(payment)
            case ["audit", "accounts"]:
                return Answer({"accounts": self.snapshot()})
            case ["audit", "payments", account]:
                return Answer({"payments": self.listed(account)})
            case ["audit", "effects", event]:
                return Answer({"id": event, "effects": self.effects[event]})
        return Answer({"title": "nothing here"}, 404)

    def balance(self, account: str) -> int:
        return self.balances[account]

    def snapshot(self) -> list[Row]:
        return [{"account": account, "balance": balance} for account, balance in self.balances.items()]

    def listed(self, account: str) -> list[Row]:
        return [row for row in self.rows.values() if account in {row["debit"], row["credit"]}]

    def shown(self, payment: str) -> Answer:
        row = self.rows.get(payment)
        return Answer({"title": "no such payment"}, 404) if row is None else Answer(row)

    async def paid(self, request: Request) -> Answer:
        key, order = request.header("idempotency-key"), json.loads(request.body)
        if (known := self.keys.get(key)) is not None:
            return known[1] if self.is_same(known[0], order) else Answer({"title": "another order"}, 422)
        answer = self.commit(key, order) if self.covers(order) else Answer({"title": "not enough"}, 422)
        self.keys[key] = order, answer
        return answer

    def is_same(self, before: Row, order: Row) -> bool:
        return before == order

    def covers(self, order: Row) -> bool:
        return self.balances[order["debit"]] >= int(order["amount"])

    def commit(self, key: str, order: Row) -> Answer:
        """Move the money, book the row and acknowledge it."""
        self.commits += 1
        self.move(order)
        return self.acknowledged(self.book(key, order))

    def move(self, order: Row) -> None:
        self.balances[order["debit"]] -= order["amount"]
        self.balances[order["credit"]] += order["amount"]

    def book(self, _: str, order: Row) -> Row:
        row = {"id": uuid.uuid4().hex, **{word: order[word] for word in ORDER if word in order}}
        self.rows[row["id"]] = row
        return row

    def acknowledged(self, row: Row) -> Answer:
        return Answer(row, 201, (*JSON, ("Location", f"/transactions/{row['id']}")))

    async def taken(self, request: Request) -> Answer:
        event = request.header("webhook-id")
        if not self.is_genuine(request):
            return Answer({"title": "not signed by us"}, 401)
        again = self.has_seen(event, request)
        if not again:
            self.take(event)
        return Answer({"id": event, "duplicate": again}, 200 if again else 202)

    def has_seen(self, event: str, _: Request) -> bool:
        is_old = event in self.seen
        self.seen.add(event)
        return is_old

    def take(self, event: str) -> None:
        self.effects[event] += 1

    def is_genuine(self, request: Request) -> bool:
        """Source: Standard Webhooks specification 1.0, 'Verifying webhook authenticity'."""
        at_s = request.header("webhook-timestamp")
        return at_s.isdecimal() and self.is_fresh(int(at_s)) and self.signature(request) in self.signatures(request)

    def is_fresh(self, at_s: int) -> bool:
        return abs(time.time() - at_s) <= TOLERANCE_S

    def signatures(self, request: Request) -> list[str]:
        return request.header("webhook-signature").split(" ")

    def signature(self, request: Request) -> str:
        key = base64.b64decode(WEBHOOK_SECRET.removeprefix("whsec_"))
        text = b".".join(
            (request.header("webhook-id").encode(), request.header("webhook-timestamp").encode(), request.body)
        )
        return f"v1,{base64.b64encode(hmac.digest(key, text, hashlib.sha256)).decode()}"
