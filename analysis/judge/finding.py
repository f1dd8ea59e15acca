"""What a run shows besides its thresholds."""

from __future__ import annotations

from dataclasses import dataclass

from loadproof.analysis.word import Word


@dataclass(frozen=True)
class Finding:
    word: Word
    """INVALID and FAIL decide, INCONCLUSIVE weakens, PASS is a note."""
    what: str
    remedy: str
    qualifies: bool = False
    """Whoever reads that the run passed has to read this as well."""

    @property
    def is_note(self) -> bool:
        return self.word is Word.PASS

    @property
    def tag(self) -> str:
        """As shown: a note says nothing about the target, and did not pass anything."""
        return "NOTE" if self.is_note else self.word
