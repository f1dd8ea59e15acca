"""One CSV of Locust to rows of text, whatever a crash, an old Locust or a hostile name did to it.

Locust 1.0 writes texts between quotes without escaping what is in them; later ones use the csv module.
Source: locust/stats.py 1.0.3, requests_csv; 2.47, StatsCSVFileWriter.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Final

from loadproof.errors import InputError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_LONGEST_HEADER: Final = 10_000
_MOST_LINES: Final = 1_000
"""Of one record: a name with more line breaks is not looked for, so that one broken line does not swallow a file."""
_NUMBER: Final = r'"?(?:N/A|-?\d[\d.]*)"?'


@dataclass(frozen=True)
class Layout:
    """What one of the four files is called, and the columns by which it is known; the first four stand first."""

    name: str
    """As in PREFIX_name.csv."""
    columns: tuple[str, ...]
    texts: int
    """So many columns in front may hold any text; those behind are numbers. None behind: 0."""


STATS: Final = Layout("stats", ("Type", "Name", "Request Count", "Failure Count"), texts=2)
HISTORY: Final = Layout("stats_history", ("Timestamp", "User Count", "Type", "Name", "Total Request Count"), texts=4)
FAILURES: Final = Layout("failures", ("Method", "Name", "Error", "Occurrences"), texts=3)
EXCEPTIONS: Final = Layout("exceptions", ("Count", "Message", "Traceback", "Nodes"), texts=0)
LAYOUTS: Final = (STATS, HISTORY, FAILURES, EXCEPTIONS)


@dataclass
class RowReader:
    """Rows of one file as mappings of column to text; what could not be read is counted, and told by `damage`."""

    path: Path
    layout: Layout
    skipped: int = 0
    cut: bool = False
    header: list[str] = field(default_factory=list)

    def rows(self) -> Iterator[dict[str, str]]:
        """One after the other, for a history can be long; InputError when it is no such file of Locust."""
        if not self.exists:
            return
        try:
            with self.path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
                if self._read_header(file):
                    yield from self._read_rows(file)
        except OSError as error:
            remedy = "make it readable, or take it away: a report needs only one of the four"
            raise InputError(Problem(str(self.path), f"can't be read: {error.strerror or error}", remedy)) from None

    @property
    def exists(self) -> bool:
        return self.path.exists()

    @property
    def damage(self) -> Iterator[str]:
        """A sentence each; known once the rows were read."""
        name = f"the {self.layout.name} file"
        if not self.exists:
            yield f"there is no {self.layout.name} file"
        elif not self.header:
            yield f"{name} is empty"
        if self.cut:
            yield f"{name} ends in the middle of a line; that line was left out"
        if self.skipped:
            yield f"{name}: {self.skipped:,} unreadable lines were left out"

    def _read_header(self, file: IO[str]) -> bool:
        """Whether rows can follow: False where nothing, or not even the whole header, was written."""
        line = file.readline(_LONGEST_HEADER)
        header = next(csv.reader([line]), [])
        if not line or (not line.endswith("\n") and _begins(header, self.layout)):
            return False
        if not set(self.layout.columns) <= set(header):
            what = f"not the {self.layout.name} file of Locust 1.0 or later: it begins otherwise"
            remedy = f"it has to begin with {','.join(self.layout.columns[:4])}; give the prefix of Locust's --csv"
            raise InputError(Problem(str(self.path), what, remedy, got=line.rstrip("\r\n")))
        self.header = header
        self._unescaped = line.startswith('"') and self.layout.texts > 0
        return True

    def _read_rows(self, file: IO[str]) -> Iterator[dict[str, str]]:
        lines = _Lines(file)
        records = self._unescaped_records(lines) if self._unescaped else _csv_records(lines)
        # One row behind, for whether the last is whole is only known when the file has ended.
        previous: list[str] | None = None
        for record in records:
            if previous is not None:
                yield from self._row(previous)
            previous = record
        if previous is not None and (lines.whole or self._ends_without_newline(previous)):
            yield from self._row(previous)
        elif not lines.whole:
            self.cut = True

    def _row(self, record: list[str]) -> Iterator[dict[str, str]]:
        if len(record) == len(self.header):
            yield dict(zip(self.header, record, strict=True))
        elif record:
            self.skipped += 1

    def _ends_without_newline(self, record: list[str]) -> bool:
        """Locust 1.0 writes no newline behind the last row of two of its files, the Aggregated and any failure."""
        return self._unescaped and self.layout is not HISTORY and len(record) == len(self.header)

    def _unescaped_records(self, lines: Iterable[str]) -> Iterator[list[str]]:
        """A record is over where a line ends in as many numbers as there are columns behind the texts."""
        numbers = len(self.header) - self.layout.texts
        tail = re.compile(rf'",((?:{_NUMBER},){{{numbers - 1}}}{_NUMBER})[\r\n]*$')
        parts: list[str] = []
        for line in lines:
            parts.append(line)
            if tail.search(line):
                yield _unescaped_record("".join(parts), tail, self.layout.texts)
                parts = []
            elif len(parts) == _MOST_LINES:
                yield ["?"]
                parts = []
        if parts:
            yield ["?"]


class _Lines:
    """The lines of a file, remembering whether the last one was whole."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self.whole = True

    def __iter__(self) -> Iterator[str]:
        for line in self._file:
            self.whole = line.endswith("\n")
            yield line


def _begins(header: list[str], layout: Layout) -> bool:
    """A header that was cut: the columns of the layout in their order, the last of them not whole."""
    known = layout.columns[:4]
    return all(whole.startswith(cell.strip('"')) for whole, cell in zip(known, header, strict=False))


def _csv_records(lines: Iterable[str]) -> Iterator[list[str]]:
    reader = csv.reader(lines)
    while True:
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error:
            # An unbalanced quote ran into the limit of a field; the reader goes on behind it.
            yield ["?"]


def _unescaped_record(text: str, tail: re.Pattern[str], texts: int) -> list[str]:
    """Properly escaped, as a spreadsheet would save it, or cut at the first `","` of each text."""
    try:
        rows = list(csv.reader(text.splitlines(keepends=True), strict=True))
    except csv.Error:
        rows = []
    found = tail.search(text)
    assert found is not None  # noqa: S101 - the caller has seen it
    numbers = [number.strip('"') for number in found[1].split(",")]
    if len(rows) == 1 and len(rows[0]) == texts + len(numbers):
        return rows[0]
    return [*text[: found.start()].removeprefix('"').split('","', texts - 1), *numbers]
