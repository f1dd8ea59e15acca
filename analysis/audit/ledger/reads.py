"""Audits reads: any read that begins after a payment's acknowledgement has to include that payment.

A payment is carried out at one moment between being sent and its answer, so a balance read meanwhile may or may not
include it; what was acknowledged before the read began has to be included. Sums of what must and what may be included
give bounds that no correct ledger violates, whatever the actual moments were.

Prior art: the real-time order of strict serializability; Herlihy and Wing 1990, doi:10.1145/78969.78972.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from loadproof.analysis.audit.ledger.record import BalanceRead
from loadproof.analysis.audit.promise import Promise, range_text
from loadproof.outcome import Said

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from loadproof.analysis.audit.ledger.keys import KeyStory
    from loadproof.analysis.audit.ledger.record import LedgerRecord, Snapshot

READ_PAYMENTS: Final = "an acknowledged payment is read from then on"
READ_BALANCES: Final = "what was acknowledged is in balances from then on"
READS_NEEDED: Final = 300
"""If one read in a hundred is stale, that is detected with a probability of 95 %."""


class _Sums:
    """Sums of amounts up to a time."""

    def __init__(self, amounts: Iterable[tuple[float, int]]) -> None:
        ordered = sorted(amounts)
        self._times = [time for time, _ in ordered]
        self._sums = [0, *accumulate(amount for _, amount in ordered)]

    def before(self, time_us: float) -> int:
        return self._sums[bisect_left(self._times, time_us)]

    def until(self, time_us: float) -> int:
        return self._sums[bisect_right(self._times, time_us)]

    def count_before(self, time_us: float) -> int:
        return bisect_left(self._times, time_us)


@dataclass
class _Account:
    """Postings as (booked from, booked until, amount), times in µs; the second is infinite if unknown."""

    opening: int
    postings: list[tuple[float, float, int]] = field(default_factory=list)

    def seal(self) -> None:
        """Form the sums, once all postings have been added."""
        self.done = _Sums((until, amount) for _, until, amount in self.postings)
        self.debits_begun = _Sums((since, min(amount, 0)) for since, _, amount in self.postings)
        self.credits_begun = _Sums((since, max(amount, 0)) for since, _, amount in self.postings)
        self.debits_done = _Sums((until, min(amount, 0)) for _, until, amount in self.postings)
        self.credits_done = _Sums((until, max(amount, 0)) for _, until, amount in self.postings)

    def bounds(self, read: BalanceRead) -> tuple[int, int]:
        """The lowest and highest balance that a correct ledger can show to this read."""
        before, until = read.sent_us - read.doubt_us, read.ended_us + read.doubt_us
        sure = self.opening + self.done.before(before)
        return (
            sure + self.debits_begun.until(until) - self.debits_done.before(before),
            sure + self.credits_begun.until(until) - self.credits_done.before(before),
        )


def audit_reads(record: LedgerRecord, stories: Mapping[str, KeyStory]) -> list[Promise]:
    """Audit reads of balances, and of payments if there is an operation that reads one; O(n log n)."""
    balances = _read_balances(record, stories)
    return [_read_payments(record, stories), balances] if record.has_reads else [balances]


def _read_payments(record: LedgerRecord, stories: Mapping[str, KeyStory]) -> Promise:
    promise = Promise(READ_PAYMENTS, "reads of acknowledged payments", READS_NEEDED)
    acknowledged = {
        attempt.payment: (attempt.ended_us, story)
        for story in stories.values()
        for attempt in reversed(story.acknowledged)
        if attempt.payment
    }
    for read in record.payment_reads:
        since_us, story = acknowledged.get(read.payment, (None, None))
        if story is None or since_us is None or read.sent_us <= since_us + read.doubt_us:
            continue
        # Reads long after the load are never stale, so they are no samples.
        promise.n += "when" not in read.row
        if not read.is_there:
            what = f"{read.payment}, acknowledged at {since_us / 1e6:.3f} s, missing at {read.sent_us / 1e6:.3f} s"
            promise.broken(what, (*story.rows, read.row))
    return promise


def _read_balances(record: LedgerRecord, stories: Mapping[str, KeyStory]) -> Promise:
    """Check balances read. Snapshots are checked too, but as another operation they are no samples of this promise."""
    promise = Promise(READ_BALANCES, "balances read after a payment", READS_NEEDED)
    if record.blind_spot:
        promise.lacks(record.blind_spot)
        return promise
    accounts = {account: _Account(opening) for account, opening in record.opening.items()}
    for story in stories.values():
        if story.said is Said.REFUSED:
            continue
        for account, amount in story.order.postings:
            if account in accounts:
                accounts[account].postings.append((story.booked_from_us, story.booked_until_us, amount))
    for summed in accounts.values():
        summed.seal()
    promise.n = sum(_judge_balance(read, accounts, promise) for read in record.balance_reads)
    for snapshot in record.snapshots:
        for read in _balances_of(snapshot):
            _judge_balance(read, accounts, promise)
    return promise


def _judge_balance(read: BalanceRead, accounts: Mapping[str, _Account], promise: Promise) -> bool:
    """Add an offence if the balance is out of bounds; return whether it was read after an acknowledged payment."""
    account = accounts.get(read.account)
    if account is None:
        promise.lacks("some balances were not read before the load")
        return False
    low, high = account.bounds(read)
    if not low <= read.balance <= high:
        ought = range_text(low, high)
        what = f"{read.account} read as {read.balance:,} at {read.sent_us / 1e6:.3f} s, should be {ought}"
        promise.broken(what, (read.row,))
    return account.done.count_before(read.sent_us - read.doubt_us) > 0


def _balances_of(snapshot: Snapshot) -> Iterator[BalanceRead]:
    for account, balance in snapshot.balances.items():
        yield BalanceRead(account, balance, snapshot.sent_us, snapshot.ended_us, snapshot.row, snapshot.doubt_us)
