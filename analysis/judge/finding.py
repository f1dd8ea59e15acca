"""A finding: what a run shows besides its thresholds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from loadproof.analysis.word import Word

if TYPE_CHECKING:
    from typing import Self

REPORT_BUG: Final = "this is a bug in loadproof: keep the run directory and report it"
RESTORE_RUN: Final = "restore the run directory as the run left it, or run again"
CHECK_LOG: Final = "check generator.log, then run again"
IF_CUT_OFF: Final = "nothing to do if the run was cut off"
"""Remedies that several rules give."""


@dataclass(frozen=True)
class Finding:
    word: Word
    """INVALID and FAIL decide, INCONCLUSIVE weakens, PASS is a note."""
    what: str
    remedy: str
    qualifies: bool = False
    """A note that has to be read along with a PASS."""

    @classmethod
    def note(cls, what: str, remedy: str, *, qualifies: bool = False) -> Self:
        """One that decides nothing."""
        return cls(Word.PASS, what, remedy, qualifies)

    @classmethod
    def depending(cls, what: str, remedy: str, *, matters: bool) -> Self:
        """INVALID if a threshold's verdict may depend on it; otherwise a note that says that none does."""
        return cls(Word.INVALID, what, remedy) if matters else cls.note(f"{what}; no threshold depends on it", remedy)

    @property
    def is_note(self) -> bool:
        return self.word is Word.PASS

    @property
    def tag(self) -> str:
        """The label shown: NOTE rather than PASS, because a note says nothing about the target."""
        return "NOTE" if self.is_note else self.word
