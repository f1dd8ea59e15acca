"""Audits balances: each ends as it began plus its postings, their sum never changes, and none is negative.

Prior art: Jepsen's bank test, whose reads of all accounts add up to the same total under snapshot isolation.
Source: https://github.com/jepsen-io/jepsen, jepsen/src/jepsen/tests/bank.clj.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from loadproof.analysis.audit.ledger.record import CROSSED
from loadproof.analysis.audit.promise import Promise, range_text
from loadproof.outcome import Said

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from loadproof.analysis.audit.ledger.keys import KeyStory
    from loadproof.analysis.audit.ledger.record import LedgerRecord, Order

BALANCES: Final = "closing balance = opening balance + postings"
SUM: Final = "the sum of all balances never changes"
NOT_NEGATIVE: Final = "no balance is negative"
SNAPSHOTS_NEEDED: Final = 10
"""A sum that is wrong a quarter of the time is detected with a probability of 94 %."""
OVERDRAFTS_NEEDED: Final = 10
"""In pairs of payments of which the account only covers one."""
_NO_SNAPSHOT: Final = "the target file declares no `snapshot`, which reads all balances at once"


def audit_balances(record: LedgerRecord, stories: Mapping[str, KeyStory], *, needed: int) -> list[Promise]:
    """Audit three promises; the first needs `needed` payments for a PASS."""
    return [_ends(record, stories.values(), needed), _sums(record), _overdrafts(record, stories)]


class Postings:
    """What payments did to each account: the certain sum, and the least and most that may come on top."""

    def __init__(self, certain: Iterable[Order], possible: Iterable[Order]) -> None:
        self.sure: Counter[str] = Counter()
        self._least: Counter[str] = Counter()
        self._most: Counter[str] = Counter()
        for order in certain:
            for account, amount in order.postings:
                self.sure[account] += amount
        for order in possible:
            self._least[order.debit] -= order.amount
            self._most[order.credit] += order.amount

    @property
    def accounts(self) -> set[str]:
        return self.sure.keys() | self._least.keys() | self._most.keys()

    def ends_of(self, account: str, opening: int) -> tuple[int, int]:
        """The lowest and the highest balance that an account may end at."""
        expected = opening + self.sure[account]
        return expected + self._least[account], expected + self._most[account]


def _ends(record: LedgerRecord, stories: Collection[KeyStory], needed: int) -> Promise:
    """Check final balances: exactly for accounts without payments of unknown fate, within their range for others."""
    promise = Promise(BALANCES, "acknowledged payments added up", needed)
    if record.blind_spot:
        promise.lacks(record.blind_spot)
        return promise
    if not record.has_snapshot:
        promise.lacks(_NO_SNAPSHOT)
    booked = [story.order for story in stories if story.said is Said.ACKNOWLEDGED]
    unknown = [story.order for story in stories if story.said is Said.UNKNOWN]
    postings, both = Postings(booked, unknown), record.opening.keys() & record.closing.keys()
    promise.n = sum({order.debit, order.credit} <= both for order in booked)
    for account in sorted(both):
        opening, closing = record.opening[account], record.closing[account]
        low, high = postings.ends_of(account, opening)
        if not low <= closing <= high:
            row = {"account": account, "opening": opening, "closing": closing, "postings": postings.sure[account]}
            promise.broken(f"{account} ends at {closing:,}, should end at {range_text(low, high)}", (row,))
    if unknown:
        promise.lacks(f"the fate of {len(unknown):,} payments is unknown")
    if unread := postings.accounts - both:
        promise.lacks(f"{len(unread):,} accounts were not read before and after")
    return promise


def _sums(record: LedgerRecord) -> Promise:
    promise = Promise(SUM, "snapshots among payments", SNAPSHOTS_NEEDED)
    if not record.is_exclusive:
        promise.lacks(record.blind_spot)
    elif not record.has_snapshot:
        promise.lacks(_NO_SNAPSHOT)
    if promise.lacking or not record.snapshots:
        return promise
    first = record.snapshots[0]
    if record.crosses(first.balances.keys()):
        promise.lacks(CROSSED)
        return promise
    total = sum(first.balances.values())
    paying = [moment for attempt in record.attempts for moment in (attempt.sent_us, attempt.ended_us)] or [0]
    for snapshot in record.snapshots:
        # A snapshot read while nobody pays shows nothing.
        promise.n += min(paying) <= snapshot.sent_us <= max(paying)
        if snapshot.balances.keys() != first.balances.keys():
            promise.lacks("not all snapshots have the same accounts")
        elif (seen := sum(snapshot.balances.values())) != total:
            promise.broken(f"{seen:,} at {snapshot.sent_us / 1e6:.3f} s, {total:,} in the first one", (snapshot.row,))
    return promise


def _overdrafts(record: LedgerRecord, stories: Mapping[str, KeyStory]) -> Promise:
    """Check for negative balances; pairs of payments provoke them by asking for more than the account holds."""
    promise = Promise(NOT_NEGATIVE, "pairs of payments of which the balance covered only one", OVERDRAFTS_NEEDED)
    for read in record.balance_reads:
        if read.balance < 0:
            promise.broken(f"{read.account} at {read.balance:,} at {read.sent_us / 1e6:.3f} s", (read.row,))
    for snapshot in record.snapshots:
        for account, balance in snapshot.balances.items():
            if balance < 0:
                promise.broken(f"{account} at {balance:,} at {snapshot.sent_us / 1e6:.3f} s", (snapshot.row,))
    for account, balance in record.closing.items():
        if balance < 0:
            promise.broken(f"{account} ends at {balance:,}", ({"account": account, "closing": balance},))
    _cover(record, stories, promise)
    return promise


def _cover(record: LedgerRecord, stories: Mapping[str, KeyStory], promise: Promise) -> None:
    """A target that accepts both payments of a pair overdrew the account, unless other money may have reached it."""
    filled = {story.order.credit for story in stories.values() if story.said is Said.UNKNOWN}
    for keys in record.overdrawing:
        pair = [stories[key] for key in keys]
        accepted = [story for story in pair if story.said is Said.ACKNOWLEDGED]
        promise.n += bool(accepted)
        if len(accepted) == len(pair) and not record.blind_spot and pair[0].order.debit not in filled:
            what = f"both of two payments were accepted, and the account held enough for one: {pair[0].order}"
            promise.broken(what, (*pair[0].rows, *pair[1].rows))
