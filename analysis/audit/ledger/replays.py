"""Audits idempotency: the same key twice is one payment, even at the same instant; with another body it is refused.

Prior art: draft-ietf-httpapi-idempotency-key-header, section 2. The usual flaw is a key that has no effect while its
first request is in progress, so only overlapping requests count as samples.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from loadproof.analysis.audit.promise import Promise, overlap
from loadproof.outcome import Said, said_to_reuse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from loadproof.analysis.audit.ledger.keys import KeyStory
    from loadproof.analysis.audit.ledger.record import LedgerRecord

SAME_KEY: Final = "the same key twice is one payment"
OTHER_BODY: Final = "the same key with another body is refused"
PAIRS_NEEDED: Final = 100
"""A race that one in 33 pairs loses is detected with a probability of 95 %."""
REUSES_NEEDED: Final = 5
"""Few, because timing doesn't matter: a target that compares bodies does so each time."""


def audit_keys(record: LedgerRecord, stories: Iterable[KeyStory]) -> list[Promise]:
    """Audit two promises; a target without keys makes none."""
    if not record.has_keys:
        return []
    same = Promise(SAME_KEY, "keys sent twice at the same time", PAIRS_NEEDED)
    for story in stories:
        if len(story.attempts) < 2:
            continue
        same.n += overlap(story.attempts)
        if len(story.payments) > 1:
            same.broken(f"acknowledged as {' and '.join(story.payments[:3])}: {story.order}", story.rows)
    other = Promise(OTHER_BODY, "keys sent again with another body", REUSES_NEEDED)
    for attempt in record.reused:
        said = said_to_reuse(attempt.row["status"], attempt.row["outcome"])
        other.n += said is not Said.UNKNOWN and attempt.row["status"] != 429
        if attempt.said is Said.ACKNOWLEDGED:
            other.broken(f"acknowledged under a key of another order: {attempt.order}", (attempt.row,))
    return [same, other]
