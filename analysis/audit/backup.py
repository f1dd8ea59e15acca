"""Judges a backup that was taken under load: it ends, restores, serves, and has what was acknowledged before it began.

A backup is a consistent state of some moment between its start and its end. So each payment whose answer had come
before it began has to be in it; one that was under way then, or came later, may be or not, but as a whole.

State of the art: restoring is the only test of a backup; durability of acknowledged writes is Jepsen's set test, with
the restored state as the final read. Source: https://sqlite.org/howtocorrupt.html, sections 1.2 to 1.4, on copies of a
live file.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from loadproof.analysis.audit.audit import audited
from loadproof.analysis.audit.ledger import explained
from loadproof.analysis.audit.ledgerbooks import Books
from loadproof.analysis.audit.ledgerkeys import stories_of
from loadproof.analysis.audit.promise import Promise, range_text
from loadproof.outcome import Said
from loadproof.plan.evidence import needed_to_see

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from loadproof.analysis.audit.audit import Audited
    from loadproof.analysis.audit.ledgerkeys import KeyStory
    from loadproof.analysis.audit.ledgerrecord import LedgerRecord, Order, PaymentRead
    from loadproof.rundir.commands import CommandRun
    from loadproof.rundir.observations import Observation

NAME: Final = "backup"
TAKEN: Final = "a backup under load ends by itself, without an error"
VERIFIED: Final = "its own check accepts it"
RESTORES: Final = "it restores into an empty place"
SERVES: Final = "what was restored serves"
THERE: Final = "every payment acknowledged before it began is there"
OWN: Final = "each payment in it is there once, with its own amount and parties"
BALANCES: Final = "balances in it are those of its payments"
SUM: Final = "the sum of all balances in it is what it was"
_RECENT_US: Final = 1_000_000
"""What is lost first is the newest: payments of the last second before it began have to be among those looked for."""
_RECENT_NEEDED: Final = 5
_UNTRIED: Final = "no backup was restored"


@dataclass(frozen=True)
class BackupRecord:
    """What a run shows of its backups. Times are µs from its start."""

    ledger: LedgerRecord
    """The load's payments, balances before the load, and as `closing`, `listings` and so on what was restored."""
    taken: Sequence[CommandRun]
    """In the order in which they ended; the last one is tried."""
    verified: CommandRun | None = None
    restored: CommandRun | None = None
    served: Observation | None = None
    began_us: int = 0
    """The last one. Before that, nothing of it can have been copied."""
    ended_us: int = 0
    doubt_us: int = 0
    """How far `began_us` may be off beside times of the journal."""


def audit_backup(record: BackupRecord, *, one_in: float) -> Audited:
    """Every promise of a backup; `3 * one_in` payments acknowledged before it decide whether it lost any."""
    promises = [_taken(record), *_tried(record)]
    if record.served is None or record.served.trouble:
        lacking = [Promise(name, "", 1) for name in (THERE, OWN, BALANCES, SUM)]
        for promise in lacking:
            promise.things = "looked at"
            promise.lacks(_UNTRIED)
        promises += lacking
    else:
        promises += _contents(record, needed_to_see(one_in))
    explained(promises, record.ledger.unread_text)
    return audited(
        NAME, [promise.evidence for promise in promises], [one for promise in promises for one in promise.offences]
    )


def _taken(record: BackupRecord) -> Promise:
    promise = Promise(TAKEN, "backups", 1)
    promise.n = len(record.taken)
    for done in record.taken:
        if done.how in {"exited", "overdue"} and not done.is_done:
            promise.broken(done.text, (asdict(done),))
        elif not done.is_done:
            promise.lacks(done.text)
    under_way = (attempt for attempt in record.ledger.attempts if attempt.ended_us >= record.began_us)
    if record.taken and not any(attempt.sent_us <= record.ended_us for attempt in under_way):
        promise.lacks("no payment was under way while it ran")
    return promise


def _tried(record: BackupRecord) -> Iterator[Promise]:
    """Each by one try, which depends on no chance."""
    for name, things, done in (
        (VERIFIED, "checks", record.verified),
        (RESTORES, "restores", record.restored),
    ):
        promise = Promise(name, things, 1, n=int(done is not None and done.how in {"exited", "overdue"}))
        if done is None and name == VERIFIED:
            continue
        if done is None:
            promise.lacks(_UNTRIED)
        elif promise.n and not done.is_done:
            promise.broken(done.text, (asdict(done),))
        elif not done.is_done:
            promise.lacks(done.text)
        yield promise
    served = record.served
    promise = Promise(SERVES, "starts", 1, n=int(served is not None and bool(served.outcome)))
    if served is None:
        promise.lacks(_UNTRIED)
    elif served.trouble and promise.n:
        promise.broken(served.trouble, (asdict(served),))
    else:
        promise.lacks(served.trouble)
    yield promise


class _Contents:
    """The restored ledger beside the stories of the load's payments."""

    def __init__(self, record: BackupRecord) -> None:
        self.record = record.ledger
        self.stories = stories_of(self.record.attempts)
        self.books = Books(self.record, self.stories)
        self._read: dict[str, PaymentRead] = {read.payment: read for read in _after(record)}
        self.is_listed = bool(self.books.accounts or self.books.keys)

    def orders_of(self, story: KeyStory) -> list[Order | None] | None:
        """Of its copies that are there; None of a copy that doesn't say, and instead of a list if nobody looked."""
        if self.books.lists(story):
            return [listed.order for listed in self.books.found.get(story.key, {}).values()]
        reads = [self._read[payment] for payment in story.payments if payment in self._read]
        return [read.order for read in reads if read.is_there] if reads else None

    @property
    def orders(self) -> list[Order | None]:
        """Of all payments that are there and new since before the load."""
        if self.is_listed:
            copies = [listed for found in self.books.found.values() for listed in found.values()]
            return [listed.order for listed in [*copies, *(listed for listed, _ in self.books.strangers.values())]]
        return [story.order for story in self.stories.values() if self.orders_of(story)]

    @property
    def open_stories(self) -> list[KeyStory]:
        """Of which nobody knows whether they are there."""
        stories = [] if self.is_listed else self.stories.values()
        return [story for story in stories if self.orders_of(story) is None and story.said is not Said.REFUSED]


def _after(record: BackupRecord) -> Iterator[PaymentRead]:
    """Reads of what was restored: the load's came before."""
    asked_us = record.served.sent_us if record.served else 0
    return (read for read in record.ledger.payment_reads if read.sent_us >= asked_us)


def _contents(record: BackupRecord, needed: int) -> list[Promise]:
    contents = _Contents(record)
    return [_there(record, contents, needed), _own(contents, needed), _balances(contents), _sum(contents)]


def _there(record: BackupRecord, contents: _Contents, needed: int) -> Promise:
    promise, recent = Promise(THERE, "payments acknowledged before it began looked for", needed), 0
    until_us = record.began_us - record.doubt_us
    for story in contents.stories.values():
        if story.said is not Said.ACKNOWLEDGED or story.booked_until_us >= until_us:
            continue
        orders = contents.orders_of(story)
        if orders is None:
            promise.lacks("some were not looked for")
            continue
        promise.n += 1
        recent += story.booked_until_us >= until_us - _RECENT_US
        if not orders:
            before_s = (record.began_us - story.booked_until_us) / 1e6
            promise.broken(f"acknowledged {before_s:.3f} s before it began, and not there: {story.order}", story.rows)
    if recent < _RECENT_NEEDED:
        promise.lacks(f"{recent} of them in the last second before it began, needs {_RECENT_NEEDED}")
    return promise


def _own(contents: _Contents, needed: int) -> Promise:
    promise = Promise(OWN, "payments compared with their orders", needed)
    for story in contents.stories.values():
        orders = contents.orders_of(story) or []
        told = [order for order in orders if order is not None]
        promise.n += bool(told)
        if story.said is Said.REFUSED and orders and contents.record.is_whole:
            promise.broken(f"refused, and there: {story.order}", story.rows)
        elif len(orders) > 1:
            promise.broken(f"there {len(orders)} times: {story.order}", story.rows)
        elif told and not told[0].agrees_with(story.order):
            promise.broken(f"ordered {story.order}, and there is {told[0]}", story.rows)
    return promise


def _balances(contents: _Contents) -> Promise:
    promise, record = Promise(BALANCES, "accounts added up", 2), contents.record
    if record.blind_spot:
        promise.lacks(record.blind_spot)
        return promise
    if contents.is_listed and not (contents.books.can_tell_new and all(contents.orders)):
        promise.lacks("lists don't say what of them is new, or who paid whom")
        return promise
    sure, least, most = _postings(contents)
    accounts = record.opening.keys() & record.closing.keys()
    for account in sorted(accounts & contents.books.accounts if contents.books.accounts else accounts):
        opening, balance = record.opening[account], record.closing[account]
        low, high = opening + sure[account] + least[account], opening + sure[account] + most[account]
        promise.n += 1
        if not low <= balance <= high:
            row = {"account": account, "opening": opening, "restored": balance, "postings": sure[account]}
            promise.broken(f"{account} has {balance:,}, its payments make {range_text(low, high)}", (row,))
    return promise


def _postings(contents: _Contents) -> tuple[Mapping[str, int], Mapping[str, int], Mapping[str, int]]:
    """By account: what is there for sure, and what may be beyond that at least and at most."""
    sure: Counter[str] = Counter()
    least: Counter[str] = Counter()
    most: Counter[str] = Counter()
    for order in contents.orders:
        for account, amount in order.postings if order is not None else ():
            sure[account] += amount
    for story in contents.open_stories:
        least[story.order.debit] -= story.order.amount
        most[story.order.credit] += story.order.amount
    return sure, least, most


def _sum(contents: _Contents) -> Promise:
    promise, record = Promise(SUM, "balances of one moment", 2), contents.record
    if not record.is_exclusive:
        promise.lacks(record.blind_spot)
        return promise
    if record.opening.keys() != record.closing.keys():
        promise.lacks("not the same accounts were read before the load and in it")
        return promise
    promise.n = len(record.closing)
    total, restored = sum(record.opening.values()), sum(record.closing.values())
    if restored != total:
        row = {"opening": total, "restored": restored}
        promise.broken(f"{restored:,}, and it was {total:,} before the load", (row,))
    return promise
