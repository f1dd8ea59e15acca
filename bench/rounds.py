"""Repeats rounds that can't be measured, at most three times, and counts them; they never stop other rounds."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

REPEATS = 3
Figure = TypeVar("Figure")


class Unmeasured(Exception):  # noqa: N818 - not an error: the machine was busy, and the round is repeated
    """A round without a result: its run is INVALID, or a tool's output can't be parsed."""


class Rounds:
    """Measures rounds, and counts per tool how many were repeated and how many left out, added to earlier counts."""

    def __init__(self, earlier: Mapping[str, Any] | None = None) -> None:
        """`earlier`: stored results with the counts of earlier sittings."""
        counts = earlier or {}
        self._repeated: Counter[str] = Counter(counts.get("repeated", {}))
        self._left_out: Counter[str] = Counter(counts.get("left_out", {}))

    def measured(self, tool: str, measure: Callable[[], Figure]) -> Figure | None:
        """What `measure` returns; None if it could not be measured, even when repeated."""
        for repeat in range(REPEATS + 1):
            self._repeated[tool] += repeat > 0
            try:
                return measure()
            except (Unmeasured, subprocess.TimeoutExpired) as error:
                what_now = "repeated" if repeat < REPEATS else f"left out after {REPEATS} repeats"
                sys.stderr.write(f"{tool}: {what_now}: {error}\n")
        self._left_out[tool] += 1
        return None

    def reported(self) -> dict[str, dict[str, int]]:
        """Print how many rounds were repeated and left out per tool; returns the counts to store with the results."""
        counts = {"repeated": dict(self._repeated), "left_out": dict(+self._left_out)}
        if told := repeats_told(counts):
            sys.stderr.write(f"{told}\n")
        return counts


def repeats_told(counts: dict[str, dict[str, int]]) -> str:
    """The counts as sentences; empty if nothing was repeated or left out."""
    repeated = _listed(counts.get("repeated", {}))
    left_out = _listed(counts.get("left_out", {}))
    repeats = f"Repeated because a round could not be measured: {repeated}." if repeated else ""
    return repeats + (f" Left out after {REPEATS} repeats each: {left_out}." if left_out else "")


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{tool} {count} ×" for tool, count in counts.items() if count)


def number_in(output: str, pattern: str) -> float:
    """The number matched by the pattern's group in a tool's output; Unmeasured if it doesn't match."""
    match = re.search(pattern, output)
    if match is None:
        raise Unmeasured(f"no {pattern!r} in {output[-300:]!r}")
    return float(match[1])


@contextmanager
def reading(output: str) -> Iterator[None]:
    """Turn any error while parsing a tool's output into Unmeasured."""
    try:
        yield
    except (LookupError, OSError, TypeError, ValueError) as error:
        raise Unmeasured(f"{type(error).__name__}: {error}, in {output[-300:]!r}") from error
