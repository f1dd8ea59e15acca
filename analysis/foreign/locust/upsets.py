"""Watches a history, row by row in the order written, for what can't occur in one undisturbed run.

Counters only grow, unless they were reset (by Locust's --reset-stats or a button in its web UI) or another run began,
and a clock is set back once at most.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from loadproof.analysis.foreign.locust.entries import AGGREGATED, NO_METHOD, number_of
from loadproof.analysis.foreign.locust.relations import in_history
from loadproof.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

Key = tuple[str, str]
"""Method and name."""
_MOST_FALLS: Final = 3
TOTAL: Final[Key] = ("", AGGREGATED)


@dataclass(frozen=True)
class Counts:
    """Counts since the start, at this time in s."""

    at_s: float
    requests: float
    failures: float

    def __str__(self) -> str:
        return f"{self.requests:,.0f} requests with {self.failures:,.0f} failures"


@dataclass(frozen=True)
class Fall:
    """Counters that fell from one row to the next."""

    before: Counts
    after: Counts

    @property
    def what(self) -> str:
        return f"fall after {format_duration(self.before.at_s)}, from {self.before} to {self.after}"


@dataclass(frozen=True)
class Upsets:
    """What can't occur in one undisturbed run, by method and name; times in s from the first row."""

    falls: Mapping[Key, tuple[Fall, ...]] = field(default_factory=dict)
    """Falls within the last run."""
    odd_rows: Mapping[Key, tuple[int, str]] = field(default_factory=dict)
    """How many rows contradict themselves, and how the first one does, in words."""
    backward_steps: int = 0
    """How often a row is earlier than the one before it."""

    def named(self, of: Callable[[str], str]) -> Upsets:
        """The same with `of` applied to all methods and names."""
        return replace(
            self,
            falls={(of(method), of(name)): falls for (method, name), falls in self.falls.items()},
            odd_rows={(of(method), of(name)): odd for (method, name), odd in self.odd_rows.items()},
        )

    @property
    def sentences(self) -> Iterator[str]:
        """The first few upsets, for reports without thresholds."""
        for fall in self.falls.get(TOTAL, ())[:_MOST_FALLS]:
            why = "as with Locust's --reset-stats" if fall.after.requests < fall.before.requests else "unlike a reset's"
            yield f"the history's totals {fall.what}, {why}: requests before that are not in the totals"
        for _, first in list(self.odd_rows.values())[:1]:
            rows = sum(of_key for of_key, _ in self.odd_rows.values())
            yield odd_rows_sentence("history", rows, first)
        if self.backward_steps:
            yield backward_sentence(self.backward_steps)


def odd_rows_sentence(file: str, count: int, first: str) -> str:
    """A clause on rows that contradict themselves, with the first contradiction as an example."""
    return f"the {file} file contradicts itself in {count:,} row{'s' * (count > 1)}: {first}"


def backward_sentence(steps: int) -> str:
    return f"the history's timestamps run backwards {f'{steps:,} times' if steps > 1 else 'once'}"


class UpsetDetector:
    """Detects upsets; has to see each row once, in order."""

    def __init__(self) -> None:
        self._last: dict[Key, Counts] = {}
        self._falls: dict[Key, list[Fall]] = {}
        self._odd_rows: dict[Key, tuple[int, str]] = {}
        self._backward_steps = 0

    def see(self, row: Mapping[str, str]) -> None:
        key = ("" if row["Type"] in NO_METHOD else row["Type"], row["Name"])
        counts = Counts(
            number_of(row["Timestamp"]),
            number_of(row["Total Request Count"]),
            number_of(row.get("Total Failure Count", "")),
        )
        if math.isnan(counts.at_s) or math.isnan(counts.requests):
            return
        before = self._last.get(key)
        self._last[key] = counts
        if before is not None:
            self._backward_steps += key == TOTAL and counts.at_s < before.at_s
            if counts.requests < before.requests or counts.failures < before.failures:
                self._falls.setdefault(key, []).append(Fall(before, counts))
        odd = next(in_history(row), None)
        if odd is not None:
            count, first = self._odd_rows.get(key, (0, odd))
            self._odd_rows[key] = (count + 1, first)

    def upsets(self, start_unix_s: float, last_run_s: float) -> Upsets:
        """The upsets so far; falls only if they began within the last run."""
        falls = {
            key: tuple(_from(fall, start_unix_s) for fall in falls if fall.before.at_s - start_unix_s >= last_run_s)
            for key, falls in self._falls.items()
        }
        return Upsets(
            {key: of_key for key, of_key in falls.items() if of_key}, dict(self._odd_rows), self._backward_steps
        )


def _from(fall: Fall, start_s: float) -> Fall:
    before, after = (replace(counts, at_s=counts.at_s - start_s) for counts in (fall.before, fall.after))
    return Fall(before, after)
