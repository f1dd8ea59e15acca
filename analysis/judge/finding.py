"""A finding: what a run shows besides its thresholds."""

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
    """A note that has to be read along with a PASS."""

    @property
    def is_note(self) -> bool:
        return self.word is Word.PASS

    @property
    def tag(self) -> str:
        """The label shown: NOTE rather than PASS, because a note says nothing about the target."""
        return "NOTE" if self.is_note else self.word
