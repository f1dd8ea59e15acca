"""The words of a verdict, and which of several it is."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final


class Word(StrEnum):
    PASS = "PASS"  # noqa: S105 - a verdict, no password
    INCONCLUSIVE = "INCONCLUSIVE"
    FAIL = "FAIL"
    INVALID = "INVALID"


PRECEDENCE: Final = (Word.INVALID, Word.FAIL, Word.INCONCLUSIVE, Word.PASS)


def strongest(words: Iterable[Word]) -> Word:
    """The word of a verdict on several things; ValueError if there are none, because no evidence is never a PASS."""
    return min(words, key=PRECEDENCE.index)
