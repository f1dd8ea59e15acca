"""Turns a journal's rows and a run's observations into a LedgerRecord: payments, their answers, and reads."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

from loadproof.analysis.audit.ledger.record import (
    Attempt,
    BalanceRead,
    LedgerRecord,
    Listed,
    Listing,
    Order,
    PaymentRead,
    Snapshot,
)
from loadproof.outcome import Outcome, Said, said_by

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from loadproof.rundir.observations import Observation

_GONE: Final = frozenset({404, 410})
PAYMENTS: Final = frozenset({"replay", "race", "reuse", "overdraft"})
"""Kinds of observations that are loadproof's own payments."""
_ORDER: Final = frozenset({"debit", "credit", "amount"})
_NEVER_SENT: Final = "want_"
"""The prefix of outcomes of requests that our own machine could not send."""
_MINOR_UNITS: Final = 100


@dataclass(frozen=True)
class Declared:
    """What a target file declares about its ledger."""

    is_exclusive: bool
    """Nobody but the run moves money to or from the accounts."""
    has_keys: bool
    has_reads: bool
    has_lists: bool
    has_snapshot: bool
    is_decimal: bool = False
    """Balances are written as '12.34', not as 1234."""


def ledger_record(
    journal: Iterable[Mapping[str, Any]],
    observations: Sequence[Observation],
    declared: Declared,
    *,
    is_whole: bool = True,
    doubt_us: int = 0,
    workers_doubt_us: int = 0,
) -> LedgerRecord:
    """Collect the ledger's record from journal rows and observations; rows that aren't about payments are left out.

    Rows are mappings from column to value, with `noted` as a mapping. `doubt_us` is how far times of observations may
    be off relative to the journal's, `workers_doubt_us` one worker's relative to another's.
    """
    rows = _Rows(declared, workers_doubt_us)
    for row in journal:
        rows.add(row)
    readable = [seen for seen in observations if not seen.trouble]
    attempts = rows.attempts + [_asked_for(seen) for seen in readable if seen.kind in PAYMENTS]
    paid_us = max((attempt.ended_us for attempt in attempts), default=0)
    attempts, reused = _apart(attempts)
    answered = [seen for seen in readable if seen.outcome == Outcome.OK]
    payment_reads = [read for seen in readable if seen.kind == "payment" and (read := _payment_read(seen))]
    return LedgerRecord(
        attempts=attempts,
        reused=reused,
        payment_reads=rows.payments + payment_reads,
        balance_reads=rows.balances + [_balance_read(seen, doubt_us) for seen in answered if seen.kind == "balance"],
        opening=_balances(seen for seen in answered if seen.when == "before"),
        # A balance read between two payments of ours is not final.
        closing=_balances(seen for seen in answered if seen.when == "after" and seen.sent_us >= paid_us),
        listings=[_listing(seen) for seen in answered if seen.kind == "payments"],
        snapshots=[_snapshot(seen, doubt_us) for seen in answered if seen.kind == "snapshot"],
        overdrawing=_pairs([seen for seen in readable if seen.kind == "overdraft"]),
        is_exclusive=declared.is_exclusive,
        is_whole=is_whole,
        has_keys=declared.has_keys,
        has_reads=declared.has_reads,
        has_lists=declared.has_lists,
        has_snapshot=declared.has_snapshot,
        unread=Counter(why for seen in observations if (why := unread_because(seen))),
    )


class _Rows:
    """A journal's payments and reads."""

    def __init__(self, declared: Declared, doubt_us: int) -> None:
        self._declared = declared
        self._doubt_us = doubt_us
        self.attempts: list[Attempt] = []
        self.payments: list[PaymentRead] = []
        self.balances: list[BalanceRead] = []
        self._ids: set[str] = set()

    def add(self, row: Mapping[str, Any]) -> None:
        noted = row["noted"]
        if not noted or str(row["outcome"]).startswith(_NEVER_SENT):
            return
        if noted.keys() >= _ORDER and self._is_attempt(noted):
            said = said_by(row["status"], row["outcome"], is_repeated=bool(row["repeated"]))
            payment = str(noted.get("payment", "")) if said is Said.ACKNOWLEDGED else ""
            self._ids.add(payment)
            key = noted.get("key", f"payment {len(self.attempts) + 1}")
            self.attempts.append(Attempt(key, order_in(noted), row["sent_us"], row["ended_us"], said, payment, row))
        elif "account" in noted and "balance" in noted:
            balance = self._minor(noted["balance"])
            if balance is not None:
                self.balances.append(
                    BalanceRead(noted["account"], balance, row["sent_us"], row["ended_us"], row, self._doubt_us)
                )
        elif "payment" in noted and _is_read(row, noted):
            is_there = row["status"] not in _GONE
            self.payments.append(
                PaymentRead(
                    noted["payment"], is_there, _told(noted), row["sent_us"], row["ended_us"], row, self._doubt_us
                )
            )

    def _is_attempt(self, noted: Mapping[str, Any]) -> bool:
        """Whether a row is an order rather than the read of a payment; without keys, by whether its id is new."""
        return "key" in noted or (not self._declared.has_keys and noted.get("payment") not in self._ids)

    def _minor(self, balance: Any) -> int | None:
        """The balance in minor units; None unless it is a whole number of them."""
        try:
            number = Decimal(str(balance)) * (_MINOR_UNITS if self._declared.is_decimal else 1)
            return int(number) if number == int(number) else None
        except (InvalidOperation, OverflowError, ValueError):
            return None


def _is_read(row: Mapping[str, Any], noted: Mapping[str, Any]) -> bool:
    """Whether the payment was read, even if the user called it wrong because it differs from the order."""
    is_told = 200 <= row["status"] < 300 and noted.keys() >= _ORDER
    return is_told or row["outcome"] == Outcome.OK or row["status"] in _GONE


def unread_because(observation: Observation) -> str:
    """Why an observation has no answer; empty if it has one. Any response to a payment counts as an answer."""
    is_answer = observation.outcome == Outcome.OK or (observation.kind == "payment" and observation.status in _GONE)
    if observation.trouble or is_answer or observation.kind in {*PAYMENTS, "deliver"}:
        return observation.trouble
    what = f"status {observation.status}" if observation.status else "no answer"
    return f"{observation.kind}, {what}"


def order_in(words: Mapping[str, Any]) -> Order:
    return Order(str(words["debit"]), str(words["credit"]), int(words["amount"]), str(words.get("currency") or ""))


def _told(words: Mapping[str, Any]) -> Order | None:
    """The order in an answer; None if it has none that can be read."""
    try:
        return order_in(words) if words.keys() >= _ORDER else None
    except (TypeError, ValueError):
        return None


def _apart(attempts: list[Attempt]) -> tuple[list[Attempt], list[Attempt]]:
    """Attempts with their key's order, and attempts that reused the key for another order.

    A key's order is the first one acknowledged, or else the first one sent. If nothing was acknowledged under a key,
    any of its orders may have come first, so each gets its own story.
    """
    first: dict[str, Attempt] = {}
    for attempt in sorted(attempts, key=lambda attempt: (attempt.said is not Said.ACKNOWLEDGED, attempt.sent_us)):
        first.setdefault(attempt.key, attempt)
    own: list[Attempt] = []
    reused: list[Attempt] = []
    for attempt in attempts:
        of_key = first[attempt.key]
        if attempt.order.agrees_with(of_key.order):
            own.append(attempt)
        elif of_key.said is Said.ACKNOWLEDGED:
            reused.append(attempt)
        else:
            own.append(replace(attempt, key=f"{attempt.key}, {attempt.order}"))
    return own, reused


def _pairs(overdrafts: Sequence[Observation]) -> list[tuple[str, str]]:
    """Keys of overdrafts sent in pairs with the same order."""
    return [
        (one.asked["key"], other.asked["key"])
        for one, other in zip(overdrafts[::2], overdrafts[1::2], strict=False)
        if order_in(one.asked) == order_in(other.asked)
    ]


def _asked_for(observation: Observation) -> Attempt:
    said = said_by(observation.status, observation.outcome, is_repeated=False)
    is_acknowledged = said is Said.ACKNOWLEDGED
    return Attempt(
        observation.asked["key"],
        order_in(observation.asked),
        observation.sent_us,
        observation.ended_us,
        said,
        str(observation.said.get("payment", "")) if is_acknowledged else "",
        observation.row,
        _told(observation.said) if is_acknowledged else None,
    )


def _payment_read(observation: Observation) -> PaymentRead | None:
    """The read of a payment; None unless the answer is the payment, or that there is none."""
    is_there = observation.outcome == Outcome.OK
    if not is_there and observation.status not in _GONE:
        return None
    order = _told(observation.said) if is_there else None
    payment, (sent_us, ended_us, _) = observation.asked["payment"], observation.course
    return PaymentRead(payment, is_there, order, sent_us, ended_us, observation.row)


def _balance_read(observation: Observation, doubt_us: int) -> BalanceRead:
    account, balance = observation.asked["account"], observation.said["balance"]
    return BalanceRead(account, balance, observation.sent_us, observation.ended_us, observation.row, doubt_us)


def _snapshot(observation: Observation, doubt_us: int) -> Snapshot:
    """A snapshot; its row omits the balances, of which there are many."""
    row = {**observation.row, "said": {}}
    return Snapshot(observation.said["balances"], observation.sent_us, observation.ended_us, row, doubt_us)


def _balances(observations: Iterable[Observation]) -> dict[str, int]:
    """The last balances read, by account."""
    balances: dict[str, int] = {}
    for observation in observations:
        if observation.kind == "snapshot":
            balances |= observation.said["balances"]
        elif observation.kind == "balance":
            balances[observation.asked["account"]] = observation.said["balance"]
    return balances


def _listing(observation: Observation) -> Listing:
    return Listing(
        account=observation.asked.get("account", ""),
        key=observation.asked.get("key", ""),
        payments=tuple(
            Listed(
                str(words.get("payment") or ""),
                str(words.get("key") or ""),
                _told(words),
            )
            for words in observation.said["payments"]
        ),
        is_before=observation.when == "before",
        row={**observation.row, "said": {}},
    )
