"""Asks a target about its ledger: balances before the load; payments, balances and reused keys after it."""

from __future__ import annotations

import uuid
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from loadproof.outcome import Outcome, Said, said_by, said_to_reuse
from loadproof.run.audits.inquiry import UnaskedError
from loadproof.run.audits.observing import observed, read, unasked
from loadproof.rundir.observations import were_at_once

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from loadproof.api.audits import AuditApi
    from loadproof.api.calls import Call, Reply
    from loadproof.run.audits.inquiry import Inquired, Inquirer
    from loadproof.run.audits.journalreading import Sent
    from loadproof.rundir.observations import Kind, Observation, When

_ENOUGH_PAIRS, _MOST_PAIRS = 120, 500
"""Pairs with the same key, sent at the same instant, until this many overlapped: more than the audit needs."""
_REUSES: Final = 8
_LATER: Final = 6
_OVERDRAFTS: Final = 14
_TRIES: Final = 6
_MOST_UNSETTLED: Final = 10
"""Once this many payments stay unsettled, each of the others is asked about only once."""
_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 2.0


class LedgerReading:
    """The questions about one run's ledger; a question without an answer is an observation, too, and says why."""

    def __init__(self, api: AuditApi, inquirer: Inquirer, accounts: Sequence[str], *, is_exclusive: bool) -> None:
        """`accounts` are at least two accounts that the run may move money between."""
        self._api = api
        self._inquirer = inquirer
        self._accounts = accounts
        self._is_exclusive = is_exclusive
        self._unsettled = 0
        self._reused = 0
        self._own_keys: dict[str, None] = {}
        self._own_payments: dict[str, None] = {}
        """Keys, and ids of acknowledged payments, of our own requests: the load's journal doesn't have them."""

    def before(self) -> Iterator[Observation]:
        """Balances, and payments that exist already."""
        yield from self._balances("before")
        if self._api.payments is not None and "{account}" in self._api.payments.path:
            yield from self._lists("before", self._accounts)

    def snapshot(self, when: When) -> Observation:
        """The balances of all accounts at one moment."""
        return self._read("snapshot", when, {}, self._api.read_snapshot(), self._known_balances)

    def after(self, sent: Sent) -> Iterator[Observation]:
        """Everything asked after the load: open payments are settled first, and balances are read last."""
        if self._api.has_keys:
            yield from self._settle_all(sent.open_orders)
            yield from self._later(sent.settled_orders)
            yield from self._pairs()
        if self._is_exclusive:
            yield from self._overdrafts()
        yield from self.books("after", sent)

    def books(self, when: When, sent: Sent) -> Iterator[Observation]:
        """All payments that the target can show, and all balances."""
        if self._api.payments is not None:
            keys = dict.fromkeys([*sent.keys, *self._own_keys])
            yield from self._lists(when, list(keys if "{key}" in self._api.payments.path else self._known(sent)))
        elif self._api.can_read_payments:
            for payment in dict.fromkeys([*sent.payments, *self._own_payments]):
                asked = {"payment": payment}
                yield self._read("payment", when, asked, self._api.read_payment(payment), self._api.payment_in)
        yield from self._balances(when)

    def _known(self, sent: Sent) -> dict[str, None]:
        return dict.fromkeys([*self._accounts, *sent.accounts])

    def _balances(self, when: When) -> Iterator[Observation]:
        if self._api.has_snapshot:
            yield self.snapshot(when)
            return
        for account in self._accounts:
            yield self._balance(when, account)

    def _balance(self, when: When, account: str) -> Observation:
        call = self._api.read_balance(account)
        return self._read(
            "balance", when, {"account": account}, call, lambda reply: {"balance": self._api.balance_in(reply)}
        )

    def _known_balances(self, reply: Reply) -> dict[str, Any]:
        """Balances of the run's accounts only: others may change at any time."""
        balances = self._api.balances_in(reply)
        return {"balances": {account: balances[account] for account in self._accounts}}

    def _lists(self, when: When, of: Sequence[str]) -> Iterator[Observation]:
        assert self._api.payments is not None  # noqa: S101 - checked by callers
        word = "key" if "{key}" in self._api.payments.path else "account"
        for name in of:
            call = self._api.list_payments(name)
            yield self._read(
                "payments", when, {word: name}, call, lambda reply: {"payments": self._api.payments_in(reply)}
            )

    def _later(self, orders: dict[str, dict[str, Any]]) -> Iterator[Observation]:
        """Replay the first payments of the load, for clients whose limits allow it now."""
        answered = 0
        for key, order in orders.items():
            call = self._order(key, order)
            if answered < _LATER and self._inquirer.wait_s(order["client"], call) <= 0:
                (inquired,) = self._asked([call], order["client"], waits=False)
                observation = self._paid("replay", inquired, key, order)
                answered += _said(observation) is Said.ACKNOWLEDGED
                yield observation

    def _pairs(self) -> Iterator[Observation]:
        """Send two requests with the same key at once, and reuse some of these keys with a different order."""
        debit, credit = self._accounts[:2]
        overlapping = 0
        for _ in range(_MOST_PAIRS):
            if overlapping == _ENOUGH_PAIRS:
                break
            key, order = _new_key(), {"debit": debit, "credit": credit, "amount": 1}
            together = [self._order(key, order)] * 2
            pair = list(self._pay("race", together, key, order))
            yield from pair
            overlapping += were_at_once(sorted(each.course for each in pair))
            order |= {"client": pair[0].client or None}
            if not any(_said(each) is Said.ACKNOWLEDGED for each in pair):
                yield from self._settle("replay", key, order)
            elif self._reused < _REUSES:
                yield from self._reuse(key, order | self._changes(debit, credit)[self._reused % 3])
            debit, credit = credit, debit

    def _changes(self, debit: str, credit: str) -> Sequence[dict[str, Any]]:
        """Changes that make a different order: the amount, swapped parties, and a third account if there is one."""
        third = {"credit": self._accounts[2]} if len(self._accounts) > 2 else {"amount": 3}
        return {"amount": 2}, {"debit": credit, "credit": debit}, third

    def _reuse(self, key: str, order: dict[str, Any]) -> Iterator[Observation]:
        """Reuse a key with a different order, unless a limit is in the way: another key will do as well."""
        call = self._order(key, order)
        if self._inquirer.wait_s(order["client"], call) <= 0:
            (inquired,) = self._asked([call], order["client"], waits=False)
            observation = self._paid("reuse", inquired, key, order)
            said = said_to_reuse(observation.status, observation.outcome)
            self._reused += said is not Said.UNKNOWN and observation.outcome != Outcome.THROTTLED
            yield observation

    def _overdrafts(self) -> Iterator[Observation]:
        """Send two payments at once, each of more than half of the balance, back and forth between two accounts."""
        debit, credit = self._accounts[:2]
        for _ in range(_OVERDRAFTS):
            balance = self._balance("after", debit)
            yield balance
            if balance.outcome != Outcome.OK or balance.trouble or balance.said["balance"] < 1:
                return
            order = {"debit": debit, "credit": credit, "amount": balance.said["balance"] // 2 + 1}
            keys = [_new_key(), _new_key()]
            calls = [self._order(key, order) for key in keys]
            for key, inquired in zip(keys, self._asked(calls), strict=True):
                observation = self._paid("overdraft", inquired, key, order)
                yield observation
                if _said(observation) is Said.UNKNOWN and not observation.trouble and self._api.has_keys:
                    yield from self._settle("replay", key, order | {"client": observation.client})
            yield self._balance("after", debit)
            debit, credit = credit, debit

    def _settle_all(self, orders: dict[str, dict[str, Any]]) -> Iterator[Observation]:
        """Settle all open payments, first those whose clients aren't held back by limits."""
        waiting = deque(orders)
        passed_over = 0
        while waiting:
            key = waiting.popleft()
            order = orders[key]
            if passed_over < len(waiting) and self._inquirer.wait_s(order["client"], self._order(key, order)) > 0:
                waiting.append(key)
                passed_over += 1
                continue
            passed_over = 0
            yield from self._settle("replay", key, order)

    def _settle(self, kind: Kind, key: str, order: dict[str, Any]) -> Iterator[Observation]:
        """Replay a key as the client that sent it, until the target says what became of the payment."""
        for attempt in range(_TRIES if self._unsettled < _MOST_UNSETTLED else 1):
            (observation,) = self._pay(kind, [self._order(key, order)], key, order)
            yield observation
            if _said(observation) is not Said.UNKNOWN or observation.trouble:
                return
            try:
                self._inquirer.pause(min(_PAUSE_S * 2**attempt, _LONGEST_PAUSE_S))
            except UnaskedError:
                return
        self._unsettled += 1

    def _order(self, key: str, order: dict[str, Any]) -> Call:
        return self._api.pay(debit=order["debit"], credit=order["credit"], amount=order["amount"], key=key)

    def _pay(self, kind: Kind, calls: list[Call], key: str, order: dict[str, Any]) -> Iterator[Observation]:
        for inquired in self._asked(calls, order.get("client")):
            yield self._paid(kind, inquired, key, order)

    def _asked(self, calls: list[Call], client: str | None = None, *, waits: bool = True) -> Sequence[Inquired | str]:
        """The answers, or the reason why there are none."""
        try:
            return self._inquirer.ask_together(calls, client, waits=waits)
        except UnaskedError as error:
            return [str(error)] * len(calls)

    def _paid(self, kind: Kind, inquired: Inquired | str, key: str, order: dict[str, Any]) -> Observation:
        asked = {"key": key, **{word: order[word] for word in ("debit", "credit", "amount")}}
        if isinstance(inquired, str):
            return unasked(kind, "after", asked, inquired)
        paid = observed(kind, "after", asked, inquired, self._api.payment_in)
        self._own_keys[key] = None
        if _said(paid) is Said.ACKNOWLEDGED and "payment" in paid.said:
            self._own_payments[paid.said["payment"]] = None
        return paid

    def _read(
        self, kind: Kind, when: When, asked: dict[str, Any], call: Call, content_of: Callable[[Reply], dict[str, Any]]
    ) -> Observation:
        return read(self._inquirer, call, kind, when, asked, content_of)


def _said(observation: Observation) -> Said:
    return said_by(observation.status, observation.outcome, is_repeated=False)


def _new_key() -> str:
    return str(uuid.uuid4())
