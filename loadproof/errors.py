"""The expected errors, as exceptions, and the program's exit codes.

LoadproofError                  expected errors: reported in one line each, never with a traceback
├── InputError
├── UnsafeTargetError
├── TargetError
│   └── OwnWantError
├── OutputError
├── RunDirectoryError
└── InvalidRunError
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_LONGEST_SHOWN = 300
_LONGEST_EXCERPT = 80


class ExitCode(IntEnum):
    """How the program ends; `make` turns every code except 0 into its own 2."""

    PASS = 0
    FAIL = 1
    NOTHING_MEASURED = 2
    INCONCLUSIVE = 3
    INVALID = 4
    BUG = 70
    INTERRUPTED = 130
    TERMINATED = 143


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with the input; prints as `where: what, got X; remedy`."""

    where: str
    what: str
    remedy: str
    got: str | None = None

    def __str__(self) -> str:
        got = "" if self.got is None else f", got {printable(self.got)}"
        return escaped(f"{self.where}: {self.what}{got}; {self.remedy}")


class LoadproofError(Exception):
    """An expected error; `exit_code` is how the program ends if nobody catches it."""

    exit_code = ExitCode.NOTHING_MEASURED

    def __init__(self, problems: Problem | Iterable[Problem]) -> None:
        self.problems = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class InputError(LoadproofError):
    """A scenario, target file, option or threshold is wrong; reports all problems at once."""


class UnsafeTargetError(LoadproofError):
    """The host is not on the allow list, so it must not be loaded."""


class TargetError(LoadproofError):
    """The target is down, not ready, or not what it claims to be."""


class OwnWantError(TargetError):
    """The target was not asked: this machine had no port, file or memory for it."""


class OutputError(LoadproofError):
    """The run directory or a report can't be written."""


class RunDirectoryError(LoadproofError):
    """A run directory that can't be read, or has another format version."""


class InvalidRunError(LoadproofError):
    """The run is not a valid measurement, and no verdict that says so could be written."""

    exit_code = ExitCode.INVALID


def escaped(text: str) -> str:
    """`text` with unprintable characters escaped: it can't move a terminal's cursor or change the writing direction."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def printable(text: str) -> str:
    """`text` quoted, on one line, and shortened in the middle: a path or URL is recognised by its two ends."""
    quoted = repr(text)
    half = _LONGEST_SHOWN // 2
    return quoted if len(quoted) <= _LONGEST_SHOWN else f"{quoted[:half]}…{quoted[1 - half :]}"


def excerpt(text: str) -> str:
    """The beginning of text from outside, at most 80 characters."""
    return text if len(text) <= _LONGEST_EXCERPT else f"{text[: _LONGEST_EXCERPT - 1]}…"
