"""The words of a verdict."""

from __future__ import annotations

from enum import StrEnum


class Word(StrEnum):
    PASS = "PASS"  # noqa: S105 - a verdict, no password
    INCONCLUSIVE = "INCONCLUSIVE"
    FAIL = "FAIL"
    INVALID = "INVALID"
