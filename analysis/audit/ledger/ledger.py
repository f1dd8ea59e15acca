"""Judges a run's payments: none lost, doubled or invented, money conserved, no stale reads, one effect per key.

Each check is at most O(n log n), because keys are unique: they say what a general checker of transactions has to search
for. `elle.py` writes the same history for such a checker.

Prior art: Jepsen's set and bank tests, and Elle (Kingsbury and Alvaro 2020, doi:10.14778/3430915.3430918).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from loadproof.analysis.audit.audit import audited
from loadproof.analysis.audit.ledger.balances import BALANCES, audit_balances
from loadproof.analysis.audit.ledger.books import NOTHING_ELSE, ONCE, audit_books
from loadproof.analysis.audit.ledger.keys import stories_of
from loadproof.analysis.audit.ledger.reads import audit_reads
from loadproof.analysis.audit.ledger.replays import audit_keys
from loadproof.analysis.audit.promise import explain
from loadproof.analysis.word import Word
from loadproof.plan.evidence import needed_to_see

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadproof.analysis.audit.audit import Audited
    from loadproof.analysis.audit.ledger.record import LedgerRecord
    from loadproof.analysis.audit.promise import Promise

NAME: Final = "ledger"
_BY_BALANCES: Final = frozenset({ONCE, NOTHING_ELSE})
"""Promises that follow from exact balances if payments can't be listed."""


def audit_ledger(record: LedgerRecord, *, one_in: float) -> Audited:
    """Audit every promise of a ledger; it takes `3 * one_in` payments to decide those about payments."""
    stories = stories_of(record.attempts)
    needed = needed_to_see(one_in)
    promises = [
        *audit_books(record, stories, needed=needed),
        *audit_keys(record, stories.values()),
        *audit_balances(record, stories, needed=needed),
        *audit_reads(record, stories),
    ]
    _infer(promises)
    explain(promises, record.unread)
    offences = [offence for promise in promises for offence in promise.offences]
    return audited(NAME, [promise.evidence for promise in promises], offences)


def _infer(promises: Sequence[Promise]) -> None:
    """Infer promises about payments from balances: money moved twice, or without an order, would show there."""
    balances = next(promise for promise in promises if promise.name == BALANCES)
    if balances.evidence.word is Word.PASS:
        for promise in promises:
            if promise.name in _BY_BALANCES and promise.n == 0:
                promise.n, promise.things = balances.n, f"{balances.things}: seen by balances"
                promise.lacking.clear()
