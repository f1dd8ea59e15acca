"""The result of an audit: a word, the evidence for each promise, and the rows that break one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from loadproof.analysis.word import Word

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_OFFENCES: Final = 100
"""The most offences that an audit keeps; it counts all of them."""
MOST_ROWS: Final = 20
"""The most journal rows that one offence keeps."""


@dataclass(frozen=True)
class Evidence:
    """One promise of the target, and what the run showed about it.

    `n` counts the samples that tested it (windows, refusals, payments …), `needed` those that it takes for a PASS; the
    reason of an INCONCLUSIVE says what is missing. A promise that nothing tested is INCONCLUSIVE, never PASS.
    """

    promise: str
    word: Word
    n: int
    needed: int
    reason: str


@dataclass(frozen=True)
class Offence:
    """Rows of the journal, as mappings from column to value, that together break a promise."""

    promise: str
    what: str
    rows: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class Audited:
    """The result of one audit; `offences` are the first `MOST_OFFENCES` of `offences_total`."""

    audit: str
    word: Word
    reason: str
    """One sentence with the deciding numbers."""
    evidence: tuple[Evidence, ...]
    offences: tuple[Offence, ...] = field(default=())
    offences_total: int = 0


def audited(
    audit: str, evidence: Sequence[Evidence], offences: Sequence[Offence] = (), *, total: int | None = None
) -> Audited:
    """FAIL if a promise is certainly broken; INCONCLUSIVE if one lacks evidence, or there is none; else PASS.

    `total` is the number of offences found, for callers that only keep the first of each promise.
    """
    words = {found.word for found in evidence}
    word = next((word for word in (Word.FAIL, Word.INCONCLUSIVE) if word in words), Word.PASS)
    if not evidence:
        return Audited(audit, Word.INCONCLUSIVE, "the target declares no promises: nothing to audit", ())
    kept = tuple(offences[:MOST_OFFENCES])
    return Audited(audit, word, _reason(word, evidence), tuple(evidence), kept, max(total or 0, len(offences)))


def promise_word(*, broken: int, n: int, needed: int) -> Word:
    """FAIL if anything broke it, however few the samples; PASS from `needed` samples (at least one) on."""
    if broken:
        return Word.FAIL
    return Word.PASS if n >= max(needed, 1) else Word.INCONCLUSIVE


def _reason(word: Word, evidence: Sequence[Evidence]) -> str:
    """The first deciding promise, and how many more there are."""
    deciding = [found for found in evidence if found.word is word]
    if word is Word.PASS:
        return f"all {len(evidence)} promises kept"
    more = f" (and {len(deciding) - 1} more)" if len(deciding) > 1 else ""
    return f"{deciding[0].promise}: {deciding[0].reason}{more}"
