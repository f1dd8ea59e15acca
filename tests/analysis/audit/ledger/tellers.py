"""Clients that load an in-memory bank over a network that loses requests and answers, and then query it.

The result is rows as in a run's journal, and observations as in its directory.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, Any

from loadproof.analysis.audit.ledger.rows import Declared, ledger_record
from loadproof.rundir.observations import Observation
from tests.analysis.audit.banks import Bank, Body, World

if TYPE_CHECKING:
    from loadproof.analysis.audit.ledger.record import LedgerRecord

TIMEOUT_US = 5_000
CLIENTS = 6
ACCOUNTS = [f"a{number}" for number in range(8)]
_TROUBLE = 0.1
PAIRS = 110
"""More than the audit needs."""


class Load:
    """One run against one bank."""

    def __init__(
        self, bank: type[Bank], seed: int, *, payments: int = 60, pairs: int = PAIRS, lists_keys: bool = False
    ) -> None:
        self.world = World(seed)
        self.bank = bank(self.world, ACCOUNTS)
        self.rows: list[dict[str, Any]] = []
        self.seen: list[Observation] = []
        self._keys = (f"k{number}" for number in count())
        self._left = payments
        self._pairs = pairs
        self._lists_keys = lists_keys

    def run(self) -> LedgerRecord:
        self._list("before")
        self._snapshot("before")
        for number in range(CLIENTS):
            self._next_payment(f"c{number}")
        for at_ms in range(1, 60):
            self.world.after(1_000 * at_ms, lambda: self._snapshot("during"))
        self.world.run()
        self._ask()
        self._list("after")
        self._snapshot("after")
        return self.record()

    def record(self, *, doubt_us: int = 0, **changes: Any) -> LedgerRecord:
        facts = {"is_exclusive": True, "has_keys": True, "has_reads": True, "has_lists": True, "has_snapshot": True}
        return ledger_record(
            self.rows, self.seen, Declared(**facts | changes), doubt_us=doubt_us, workers_doubt_us=doubt_us
        )

    def _next_payment(self, client: str) -> None:
        if self._left > 0:
            self._left -= 1
            debit, credit = self.world.random.sample(ACCOUNTS, 2)
            body = debit, credit, self.world.random.randint(1, 3_000)
            self.world.after(self.world.delay(), lambda: self._send(client, next(self._keys), body, tries=3))

    def _send(self, client: str, key: str, body: Body, *, tries: int) -> None:
        sent_us, random = self.world.now, self.world.random

        def ended(status: int, payment: str) -> None:
            noted = {"key": key, **_words(body)} | ({"payment": payment} if payment else {})
            self._note(client, sent_us, status, noted)
            if status != 201 and tries > 1 and random.random() < 0.5:
                self.world.after(self.world.delay(), lambda: self._send(client, key, body, tries=tries - 1))
            elif status == 201:
                self.world.after(1, lambda: self._read_back(client, payment, body))
            else:
                self._next_payment(client)

        self._exchange(ended, lambda reply: self.bank.pay(key, body, reply))

    def _exchange(self, ended: Callable[[int, str], None], work: Callable[[Callable[[int, str], None]], None]) -> None:
        """Send a request, with timeouts and 5xx before and after the commit, and refusals before it."""
        random, is_over = self.world.random, False

        def end(status: int, payment: str) -> None:
            nonlocal is_over
            if not is_over:
                is_over = True
                ended(status, payment if status == 201 else "")

        def replied(status: int, payment: str) -> None:
            luck = random.random()
            if luck < _TROUBLE:
                self.world.after(self.world.delay(), lambda: end(502, ""))
            elif luck > _TROUBLE * 2:
                self.world.after(self.world.delay(), lambda: end(status, payment))

        self.world.after(TIMEOUT_US, lambda: end(0, ""))
        luck = random.random()
        if luck < _TROUBLE:
            self.world.after(self.world.delay(), lambda: end(random.choice((429, 503)), ""))
        elif luck > _TROUBLE * 1.5:
            self.world.after(self.world.delay(), lambda: work(replied))

    def _read_back(self, client: str, payment: str, body: Body) -> None:
        sent_us = self.world.now

        def look() -> None:
            balance = self.bank.balance(body[0])
            shown = next((self.bank.shown(row) for row in self.bank.rows if row.payment == payment), None)

            def answer() -> None:
                self._note(client, sent_us, 200, {"account": body[0], "balance": balance})
                noted = {"payment": payment} | (_words(shown) if shown else {})
                self._note(client, sent_us, 200 if shown else 404, noted, is_right=shown == body)
                self._next_payment(client)

            self.world.after(self.world.delay(), answer)

        self.world.after(self.world.delay(), look)

    def _note(self, client: str, sent_us: int, status: int, noted: dict[str, Any], *, is_right: bool = True) -> None:
        outcome = "ok" if is_right and 200 <= status < 300 else "timeout" if not status else "invalid"
        times = {"intended_us": sent_us, "sent_us": sent_us, "ended_us": self.world.now}
        row = {"worker": "w1", "client": client, "request": "transactions", "phase": "steady", **times}
        self.rows.append(row | {"status": status, "outcome": outcome, "repeated": 0, "noted": noted})

    def _ask(self) -> None:
        """Replay open payments; then send pairs with one key, used keys with other bodies, and overdrafts."""
        orders = {row["noted"]["key"]: row["noted"] for row in self.rows if "key" in row["noted"]}
        acknowledged = {row["noted"]["key"] for row in self.rows if row["status"] == 201}
        for key in [key for key in orders if key not in acknowledged]:
            self._pay("replay", key, _body(orders[key]))
            self.world.run()
        for _ in range(self._pairs):
            debit, credit = self.world.random.sample(ACCOUNTS, 2)
            key = next(self._keys)
            for _ in range(2):
                self._pay("race", key, (debit, credit, 1))
            self.world.run()
        settled = [key for key in orders if key in acknowledged]
        for key in dict.fromkeys([*list(orders)[:6], *settled[-6:]]):
            debit, credit, amount = _body(orders[key])
            self._pay("reuse", key, (debit, credit, amount + 1))
            self.world.run()
        for _ in range(12):
            debit = max(self.bank.balances, key=lambda account: self.bank.balances[account])
            credit = next(account for account in ACCOUNTS if account != debit)
            for _ in range(2):
                self._pay("overdraft", next(self._keys), (debit, credit, self.bank.balances[debit] // 2 + 1))
            self.world.run()
            balance = self.bank.balance(debit)
            self._see("balance", "after", {"account": debit}, {"balance": balance})

    def read_payments(self) -> None:
        """Read every payment whose id was in an answer, one by one."""
        rows = {row.payment: row for row in self.bank.rows}
        ids = [row["noted"].get("payment") for row in self.rows] + [seen.said.get("payment") for seen in self.seen]
        for payment in filter(None, dict.fromkeys(ids)):
            row = rows.get(payment)
            said = _words((row.debit, row.credit, row.amount)) if row else {}
            self._see("payment", "after", {"payment": payment}, said, status=200 if row else 404)

    def _pay(self, kind: Any, key: str, body: Body) -> None:
        sent_us = self.world.now

        def answered(status: int, payment: str) -> None:
            said = {"payment": payment} if status == 201 else {}
            self._see(kind, "after", {"key": key, **_words(body)}, said, status=status, sent_us=sent_us)

        self.bank.pay(key, body, answered)

    def _snapshot(self, when: Any) -> None:
        self._see("snapshot", when, {}, {"balances": self.bank.snapshot()})

    def _list(self, when: Any) -> None:
        for account in ACCOUNTS:
            rows = [row for row in self.bank.rows if account in {row.debit, row.credit}]
            payments = [{"payment": row.payment, **_words((row.debit, row.credit, row.amount))} for row in rows]
            if self._lists_keys:
                payments = [{**words, "key": row.key} for words, row in zip(payments, rows, strict=True)]
            self._see("payments", when, {"account": account}, {"payments": payments})

    def _see(
        self,
        kind: Any,
        when: Any,
        asked: dict[str, Any],
        said: dict[str, Any],
        *,
        status: int = 200,
        sent_us: int | None = None,
    ) -> None:
        sent_us = self.world.now if sent_us is None else sent_us
        outcome = "ok" if status < 300 else "invalid"
        self.seen.append(Observation(kind, when, "c9", sent_us, self.world.now, status, outcome, asked, said))


def _words(body: Body) -> dict[str, Any]:
    return dict(zip(("debit", "credit", "amount"), body, strict=True))


def _body(words: dict[str, Any]) -> Body:
    return words["debit"], words["credit"], words["amount"]
