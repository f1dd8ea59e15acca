"""What a run shows beside its thresholds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analysis.judge.judgement import Word


@dataclass(frozen=True)
class Finding:
    word: Word
    """INVALID and FAIL decide, INCONCLUSIVE weakens, PASS is a note."""
    what: str
    remedy: str
