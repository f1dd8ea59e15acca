"""Judges a backup taken under load: it ends, restores, serves, and has every payment acknowledged before it began.

A backup is a consistent state of some moment between its start and its end. So each payment whose answer came before it
began has to be in it. One that was in flight then, or came later, may be in it or not, but as a whole, and together
with everything acknowledged before it was sent. A backup that lacks the newest payments may still satisfy that, but a
second backup, taken when nobody pays any more, has no such excuse.

Prior art: restoring is the only test of a backup; durability of acknowledged writes is Jepsen's set test, with
the restored state as the final read. Source: https://sqlite.org/howtocorrupt.html, sections 1.2 to 1.4, on copies of a
live file.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from loadproof.analysis.audit.audit import audited
from loadproof.analysis.audit.backup.contents import Contents
from loadproof.analysis.audit.ledger.balances import Postings
from loadproof.analysis.audit.ledger.record import CROSSED
from loadproof.analysis.audit.promise import Promise, explain, range_text
from loadproof.outcome import Said
from loadproof.plan.evidence import needed_to_see

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadproof.analysis.audit.audit import Audited
    from loadproof.analysis.audit.backup.record import BackupRecord, TriedBackup
    from loadproof.analysis.audit.ledger.keys import KeyStory
    from loadproof.rundir.commands import CommandRun

NAME: Final = "backup"
TAKEN: Final = "a backup under load ends by itself, without an error"
VERIFIED: Final = "its own check accepts it"
RESTORES: Final = "it restores into an empty place"
SERVES: Final = "the restored copy serves"
THERE: Final = "every payment acknowledged before it began is there"
OWN: Final = "each payment in it is there once, with its own amount and parties"
BALANCES: Final = "balances in it are those of its payments"
SUM: Final = "the sum of all balances in it is what it was"
AT_REST: Final = "a backup after the load has every acknowledged payment, and their balances"
_RECENT_US: Final = 1_000_000
"""The newest payments get lost first, so those of the last second before it began have to be looked for as well."""
_RECENT_NEEDED: Final = 5
_UNTRIED: Final = "no backup was restored"
_EMPTY: Final = "no payment is in it"


def audit_backup(record: BackupRecord, *, one_in: float) -> Audited:
    """Audit every promise of a backup; it takes `3 * one_in` earlier payments to show that none is lost."""
    needed = needed_to_see(one_in)
    promises = [_taken(record), *_commands(record), _serves(record)]
    there = Promise(THERE, "payments acknowledged before it began looked for", needed)
    own = Promise(OWN, "payments compared with their orders", needed)
    balances, total = Promise(BALANCES, "accounts added up", 2), Promise(SUM, "balances of one moment", 2)
    at_rest = Promise(AT_REST, "acknowledged payments looked for", needed)
    if record.under_load is not None and record.under_load.can_be_read:
        contents = Contents(record.under_load)
        _look_before(record.under_load, contents, there, record.doubt_us)
        _look_between(record.under_load, contents, there, record.doubt_us)
        _compare(contents, own)
        _add_up(contents, balances)
        _sum(contents, total)
        if later := _later(record.under_load, contents, record.doubt_us):
            for promise in (there, own, balances, total):
                promise.lacks(
                    f"what was served isn't this backup: it has {later:,} payments that were sent after it had ended"
                )
    else:
        for promise in (there, own, balances, total):
            promise.lacks(_UNTRIED)
    if record.at_rest is not None and record.at_rest.can_be_read:
        _look_for_all(Contents(record.at_rest), at_rest)
    else:
        at_rest.lacks(_UNTRIED)
    promises += [there, own, balances, total, at_rest]
    for tried in record.tries:
        explain(promises, tried.ledger.unread)
    offences = [offence for promise in promises for offence in promise.offences]
    return audited(NAME, [promise.evidence for promise in promises], offences)


def _taken(record: BackupRecord) -> Promise:
    promise, last = Promise(TAKEN, "backups", 1), record.under_load
    for done in [*record.taken, *([record.at_rest.backup] if record.at_rest else [])]:
        _count(done, promise)
    if last is not None and not any(
        attempt.sent_us <= last.ended_us and attempt.ended_us >= last.began_us for attempt in last.ledger.attempts
    ):
        promise.lacks("no payment was under way while it ran")
    return promise


def _commands(record: BackupRecord) -> Iterator[Promise]:
    """The promises about checks and restores; one sample is enough, because chance plays no part."""
    verified = [tried.verified for tried in record.tries if tried.verified is not None]
    restored = [tried.restored for tried in record.tries if tried.restored is not None]
    for name, things, commands in ((VERIFIED, "checks", verified), (RESTORES, "restores", restored)):
        promise = Promise(name, things, 1)
        for done in commands:
            _count(done, promise)
        if not commands:
            promise.lacks(_UNTRIED)
        if commands or name == RESTORES:
            yield promise


def _count(done: CommandRun, promise: Promise) -> None:
    """Count a command as a sample, unless it was stopped or never started."""
    if done.how in {"exited", "overdue"}:
        promise.n += 1
        if not done.is_done:
            promise.broken(done.text, (asdict(done),))
    else:
        promise.lacks(done.text)


def _serves(record: BackupRecord) -> Promise:
    promise = Promise(SERVES, "starts", 1)
    at_work = [tried.served for tried in record.tries if tried.served is not None]
    for served in at_work:
        # Without an outcome, no request was sent to it.
        promise.n += bool(served.outcome)
        if served.trouble and served.outcome:
            promise.broken(served.trouble, (asdict(served),))
        promise.lacks(served.trouble)
    for strayed in (tried.strayed for tried in record.tries):
        if strayed is not None:
            what = "a payment made to the restored copy appeared at the target: "
            what += "`serve` uses the live data, not the backup"
            promise.broken(what, (asdict(strayed),))
    if not at_work:
        promise.lacks(_UNTRIED)
    return promise


def _look_before(tried: TriedBackup, contents: Contents, promise: Promise, doubt_us: int) -> None:
    """Look for payments acknowledged when the backup had certainly not begun."""
    until_us, recent = tried.began_us - doubt_us, 0
    for story in contents.stories.values():
        if story.said is Said.ACKNOWLEDGED and story.booked_until_us < until_us:
            ago_s = (tried.began_us - story.booked_until_us) / 1e6
            if _look_for(story, contents, promise, f"acknowledged {ago_s:.3f} s before it began"):
                recent += story.booked_until_us >= until_us - _RECENT_US
            elif contents.orders_of(story) is None:
                promise.lacks("some payments were not looked up")
    if doubt_us >= _RECENT_US:
        promise.lacks(f"clocks may be {doubt_us / 1e6:,.0f} s apart, so it is unknown what came before it")
    elif recent < _RECENT_NEEDED and not promise.offences:
        promise.lacks(f"{recent} of them in the last second before it began, needs {_RECENT_NEEDED}")


def _look_between(tried: TriedBackup, contents: Contents, promise: Promise, doubt_us: int) -> None:
    """Look for payments acknowledged, while it ran, before another one in it was sent: no state has only the latter."""
    begun_us, ended_us = tried.began_us - doubt_us, tried.ended_us + doubt_us
    stories = contents.stories.values()
    there = [story for story in stories if story.booked_from_us <= ended_us and contents.orders_of(story)]
    if not there:
        return
    newest = max(there, key=lambda story: story.booked_from_us)
    for story in stories:
        if begun_us <= story.booked_until_us < newest.booked_from_us - doubt_us and contents.orders_of(story) == []:
            ago_s = (newest.booked_from_us - story.booked_until_us) / 1e6
            what = f"acknowledged {ago_s:.3f} s before {newest.order} was sent, which is in it, but this one isn't"
            promise.broken(f"{what}: {story.order}", (*story.rows, *newest.rows))


def _later(tried: TriedBackup, contents: Contents, doubt_us: int) -> int:
    """The number of payments that can't be in this backup, because they were first sent when it had certainly ended.

    If they were read, it was from the live database, or from another backup.
    """
    until_us = tried.ended_us + doubt_us
    return sum(
        bool(contents.orders_of(story)) and story.booked_from_us > until_us for story in contents.stories.values()
    )


def _look_for_all(contents: Contents, promise: Promise) -> None:
    for story in contents.stories.values():
        if story.said is Said.ACKNOWLEDGED:
            _look_for(story, contents, promise, f"acknowledged at {story.booked_until_us / 1e6:.3f} s")
    # Only the offences count here, not the samples.
    others = Promise("", "", 1)
    _add_up(contents, others)
    _compare(contents, others)
    for offence in others.offences:
        promise.broken(offence.what, offence.rows)


def _look_for(story: KeyStory, contents: Contents, promise: Promise, what: str) -> bool:
    """Look for one payment; return whether it is there. It is no sample if nobody looked."""
    orders = contents.orders_of(story)
    promise.n += orders is not None
    if orders is not None and not orders:
        promise.broken(f"{what}, but missing: {story.order}", story.rows)
    return bool(orders)


def _compare(contents: Contents, promise: Promise) -> None:
    for story in contents.stories.values():
        orders = contents.orders_of(story) or []
        present = [order for order in orders if order is not None]
        promise.n += bool(present)
        if story.said is Said.REFUSED and orders and contents.record.is_whole:
            promise.broken(f"refused, but booked: {story.order}", story.rows)
        elif len(orders) > 1:
            promise.broken(f"booked {len(orders)} times: {story.order}", story.rows)
        elif present and not present[0].agrees_with(story.order):
            promise.broken(f"ordered {story.order}, but booked is {present[0]}", story.rows)


def _add_up(contents: Contents, promise: Promise) -> None:
    """Check that each account has its balance from before the load plus the postings of the payments in the backup."""
    record, books = contents.record, contents.books
    if record.blind_spot:
        promise.lacks(record.blind_spot)
        return
    if contents.is_listed and not (books.can_tell_new and all(contents.orders)):
        promise.lacks("the lists don't show which payments are new, or who paid whom")
        return
    if not contents.orders:
        promise.lacks(_EMPTY)
    postings = Postings(filter(None, contents.orders), (story.order for story in contents.open_stories))
    accounts = record.opening.keys() & record.closing.keys()
    for account in sorted(accounts & books.accounts if books.accounts else accounts):
        opening, balance = record.opening[account], record.closing[account]
        low, high = postings.ends_of(account, opening)
        promise.n += 1
        if not low <= balance <= high:
            row = {"account": account, "opening": opening, "restored": balance, "postings": postings.sure[account]}
            promise.broken(f"{account} has {balance:,}, its payments make {range_text(low, high)}", (row,))


def _sum(contents: Contents, promise: Promise) -> None:
    record = contents.record
    if not record.is_exclusive:
        promise.lacks(record.blind_spot)
    elif record.opening.keys() != record.closing.keys():
        promise.lacks("different accounts were read before the load and in the backup")
    elif record.crosses(record.opening.keys()):
        promise.lacks(CROSSED)
    else:
        if not contents.orders:
            promise.lacks(_EMPTY)
        promise.n = len(record.closing)
        total, restored = sum(record.opening.values()), sum(record.closing.values())
        if restored != total:
            row = {"opening": total, "restored": restored}
            promise.broken(f"{restored:,}, but it was {total:,} before the load", (row,))
