"""Matches the contents of a restored backup with the load's payments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadproof.analysis.audit.ledger.books import Books
from loadproof.analysis.audit.ledger.keys import stories_of
from loadproof.outcome import Said

if TYPE_CHECKING:
    from loadproof.analysis.audit.backup.record import TriedBackup
    from loadproof.analysis.audit.ledger.keys import KeyStory
    from loadproof.analysis.audit.ledger.record import Order


class Contents:
    """The restored ledger, matched with the stories of the load's payments."""

    def __init__(self, tried: TriedBackup) -> None:
        self.record = tried.ledger
        self.stories = stories_of(self.record.attempts)
        self.books = Books(self.record, self.stories)
        # Earlier reads are from the load.
        asked_us = tried.served.sent_us if tried.served else 0
        self._read = {read.payment: read for read in self.record.payment_reads if read.sent_us >= asked_us}
        self.is_listed = bool(self.books.accounts or self.books.keys)

    def orders_of(self, story: KeyStory) -> list[Order | None] | None:
        """The orders of its copies in the backup, None for one that shows none; None for all if nobody looked."""
        if self.books.lists(story):
            return [listed.order for listed in self.books.found.get(story.key, {}).values()]
        reads = [self._read[payment] for payment in story.payments if payment in self._read]
        return [read.order for read in reads if read.is_there] if reads else None

    @property
    def orders(self) -> list[Order | None]:
        """The orders of all payments in the backup that are new since before the load."""
        if self.is_listed:
            copies = [listed for found in self.books.found.values() for listed in found.values()]
            return [listed.order for listed in [*copies, *(listed for listed, _ in self.books.strangers.values())]]
        return [story.order for story in self.stories.values() if self.orders_of(story)]

    @property
    def open_stories(self) -> list[KeyStory]:
        """Stories that may or may not be in the backup, because nobody looked for them.

        None if accounts were listed: only those are added up, and their lists have all of their payments.
        """
        stories = [] if self.books.accounts else self.stories.values()
        return [story for story in stories if self.orders_of(story) is None and story.said is not Said.REFUSED]
