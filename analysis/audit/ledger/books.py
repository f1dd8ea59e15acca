"""Compares the ledger after the load, payment by payment, with what was acknowledged, refused or never attempted."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Final

from loadproof.analysis.audit.promise import Promise
from loadproof.outcome import Said

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from loadproof.analysis.audit.ledger.keys import KeyStory
    from loadproof.analysis.audit.ledger.record import LedgerRecord, Listed, Listing, Order, PaymentRead, Row

THERE: Final = "every acknowledged payment is there"
ONCE: Final = "every acknowledged payment is there once"
OWN: Final = "with its own amount and parties"
NOTHING_ELSE: Final = "no payment exists that nobody sent"
_NO_LIST: Final = "the target file declares no `payments`, which lists them"


@dataclass
class Books:
    """The payments in the lists, by key, and those that belong to no key."""

    record: LedgerRecord
    stories: Mapping[str, KeyStory]
    found: dict[str, dict[tuple[str, int], Listed]] = field(default_factory=dict)
    """By key: its payments, by id and that id's number of occurrence in one list."""
    strangers: dict[tuple[str, int], tuple[Listed, Row]] = field(default_factory=dict)
    """Payments new since the load began that belong to no key; other people's if they use the accounts too."""
    differing: dict[str, list[Listed]] = field(default_factory=dict)
    """By key: the same payments, as a second list shows them."""
    owners: dict[str, str] = field(default_factory=dict)
    """By id: the key under which a list has it, or else the first key acknowledged with it."""
    has_keys: bool = False
    """The lists show under which key a payment was made."""
    can_tell_new: bool = True

    def __post_init__(self) -> None:
        after = [listing for listing in self.record.listings if not listing.is_before]
        before = [listing for listing in self.record.listings if listing.is_before]
        self.accounts = {listing.account for listing in after if listing.account}
        self.keys = {listing.key for listing in after if listing.key}
        self.has_keys = any(listed.key for listing in after for listed in listing.payments)
        self.can_tell_new = self.accounts <= {listing.account for listing in before if listing.account}
        self._old = {listed.payment for listing in before for listed in listing.payments}
        for listing in after:
            self._add(listing)
        for key, story in self.stories.items():
            for payment in story.payments:
                self.owners.setdefault(payment, key)

    @cached_property
    def key_of(self) -> dict[str, str]:
        """Keys by the id of an acknowledged payment."""
        return {payment: key for key, story in self.stories.items() for payment in story.payments}

    def lists(self, story: KeyStory) -> bool:
        """Whether a list was read that should have its payments, in which they can be told from others'."""
        order = story.order
        is_read = story.key in self.keys or order.debit in self.accounts or order.credit in self.accounts
        return is_read and (story.key in self.keys or self.has_keys or bool(story.payments))

    @property
    def tells_ours(self) -> bool:
        """Whether lists show every acknowledged payment, so that whatever is left belongs to nobody."""
        told = all(self.lists(story) for story in self.stories.values() if story.said is Said.ACKNOWLEDGED)
        return told and all(listed.payment or listed.key for listed, _ in self.strangers.values())

    def unlisted(self, story: KeyStory) -> set[str]:
        """Its accounts without a list, unless there is a list for its key."""
        return set() if story.key in self.keys else {story.order.debit, story.order.credit} - self.accounts

    def _add(self, listing: Listing) -> None:
        counts: Counter[tuple[str, str]] = Counter()
        for listed in listing.payments:
            if listed.payment and listed.payment in self._old:
                continue
            key = listing.key or (listed.key if listed.key in self.stories else self.key_of.get(listed.payment, ""))
            label = (listed.payment, counts[key, listed.payment])
            counts[key, listed.payment] += 1
            if listed.key in self.stories and listed.payment:
                self.owners.setdefault(listed.payment, listed.key)
            if key:
                first = self.found.setdefault(key, {}).setdefault(label, listed)
                if first.order != listed.order:
                    self.differing.setdefault(key, []).append(listed)
            else:
                self.strangers[label] = listed, listing.row


def audit_books(record: LedgerRecord, stories: Mapping[str, KeyStory], *, needed: int) -> list[Promise]:
    """Audit four promises; each needs `needed` payments for a PASS."""
    books = Books(record, stories)
    reads: defaultdict[str, list[PaymentRead]] = defaultdict(list)
    for read in sorted(record.payment_reads, key=lambda read: read.sent_us):
        reads[read.payment].append(read)
    there = Promise(THERE, "acknowledged payments looked for", needed)
    once = Promise(ONCE, "acknowledged payments counted", needed)
    own = Promise(OWN, "payments compared with their orders", needed)
    nothing_else = Promise(NOTHING_ELSE, "payments in lists", needed)
    for story in stories.values():
        copies = books.found.get(story.key, {})
        if story.said is Said.ACKNOWLEDGED:
            _look_for(story, books, reads, there)
            if books.lists(story):
                once.n += 1
        if story.said is not Said.REFUSED and len(copies) > 1:
            once.broken(f"booked {len(copies)} times under one key: {story.order}", story.rows)
        if story.said is Said.REFUSED and copies and record.is_whole:
            nothing_else.broken(f"refused, but booked: {story.order}", story.rows)
        nothing_else.n += len(copies)
        _compare(story, books, reads, own)
    _look_at_strangers(record, stories, books, once, nothing_else)
    if not record.has_lists:
        once.lacks(_NO_LIST)
        nothing_else.lacks(_NO_LIST)
    elif unlisted := {account for story in stories.values() for account in books.unlisted(story)}:
        once.lacks(f"the payments of {len(unlisted):,} accounts were not listed")
        nothing_else.lacks(f"the payments of {len(unlisted):,} accounts were not listed")
    return [there, once, own, nothing_else]


def _look_for(story: KeyStory, books: Books, reads: Mapping[str, Sequence[PaymentRead]], there: Promise) -> None:
    """Look for an acknowledged payment in a list if there is one, else by the last read of each of its ids."""
    at_s = story.booked_until_us / 1e6
    for payment in story.payments:
        if books.owners[payment] != story.key:
            what = f"acknowledged at {at_s:.3f} s as {payment}, which is another payment: {story.order}"
            there.broken(what, (*story.rows, *books.stories[books.owners[payment]].rows))
    if books.lists(story):
        there.n += 1
        if not books.found.get(story.key):
            there.broken(f"acknowledged at {at_s:.3f} s, but missing: {story.order}", story.rows)
        return
    latest = [reads[payment][-1] for payment in story.payments if payment in reads]
    if not latest:
        there.lacks("some payments were not looked up")
        return
    there.n += 1
    for read in latest:
        if not read.is_there:
            what = f"acknowledged at {at_s:.3f} s as {read.payment}, but missing: {story.order}"
            there.broken(what, (*story.rows, read.row))


def _compare(story: KeyStory, books: Books, reads: Mapping[str, Sequence[PaymentRead]], own: Promise) -> None:
    seen = list(_seen(story, books, reads))
    own.n += bool(seen)
    for order, row in seen:
        if not order.agrees_with(story.order):
            own.broken(f"ordered {story.order}, but booked is {order}", (*story.rows, row))
            return


def _seen(story: KeyStory, books: Books, reads: Mapping[str, Sequence[PaymentRead]]) -> Iterator[tuple[Order, Row]]:
    """Every order that the target reported for this key, with the row that shows it."""
    for listed in (*books.found.get(story.key, {}).values(), *books.differing.get(story.key, ())):
        if listed.order is not None:
            yield listed.order, {"listed": listed.payment}
    for payment in story.payments:
        for read in reads.get(payment, ()):
            if read.order is not None:
                yield read.order, read.row
    for attempt in story.attempts:
        if attempt.told is not None:
            yield attempt.told, attempt.row


def _look_at_strangers(
    record: LedgerRecord, stories: Mapping[str, KeyStory], books: Books, once: Promise, nothing_else: Promise
) -> None:
    """A new payment on exclusive accounts belongs to an attempt without an answer, or it should not be there."""
    nothing_else.n += len(books.strangers)
    if not books.strangers:
        return
    if record.blind_spot:
        # Payments under keys that aren't ours are other people's.
        if not (record.is_whole and all(listed.key for listed, _ in books.strangers.values())):
            nothing_else.lacks(record.blind_spot)
        return
    if not books.tells_ours:
        nothing_else.lacks("the list has neither ids nor keys, so this run's payments can't be identified")
        return
    if not books.can_tell_new:
        nothing_else.lacks("the payments before the load were not read, so new ones can't be identified")
        return
    open_orders = Counter(
        _signature(story.order)
        for key, story in stories.items()
        if story.said is Said.UNKNOWN and key not in books.found
    )
    acknowledged = {_signature(story.order): story for story in stories.values() if story.said is Said.ACKNOWLEDGED}
    for listed, row in books.strangers.values():
        signature = None if listed.order is None else _signature(listed.order)
        if signature is not None and open_orders[signature] > 0:
            open_orders[signature] -= 1
        elif signature in acknowledged:
            story = acknowledged[signature]
            once.broken(f"booked again, as {listed.payment}: {listed.order}", (*story.rows, row))
        else:
            nothing_else.broken(f"{listed.payment}: {listed.order}, which nobody sent", (row,))


def _signature(order: Order) -> tuple[str, str, int]:
    return order.debit, order.credit, order.amount
