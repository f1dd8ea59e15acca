"""Reads one of Locust's CSVs into rows of text, even if a crash, an old Locust or a hostile name damaged it.

Locust 1.0 puts texts between quotes without escaping them; later versions use the csv module.
Source: locust/stats.py 1.0.3, requests_csv; 2.47, StatsCSVFileWriter.
"""

from __future__ import annotations

import csv
import re
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Final

from loadproof.analysis.foreign.records import Records, cells_of, lines_of, repeated
from loadproof.analysis.frames.lines import left_out
from loadproof.errors import InputError, Problem, excerpt, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

_LONGEST_HEADER: Final = 10_000
_MOST_LINES: Final = 1_000
"""Per record: names with more line breaks are not supported, so that one broken line can't swallow a file."""
_NUMBER: Final = r'"?(?:N/A|-?\d[\d.]*)"?'


@dataclass(frozen=True)
class Layout:
    """The name of one of the four files, and the columns that identify it; a file begins with the first four."""

    name: str
    """As in PREFIX_name.csv."""
    columns: tuple[str, ...]
    texts: int
    """How many leading columns may hold any text; the others are numbers. 0 for files that are always escaped."""


STATS: Final = Layout("stats", ("Type", "Name", "Request Count", "Failure Count"), texts=2)
HISTORY: Final = Layout("stats_history", ("Timestamp", "User Count", "Type", "Name", "Total Request Count"), texts=4)
FAILURES: Final = Layout("failures", ("Method", "Name", "Error", "Occurrences"), texts=3)
EXCEPTIONS: Final = Layout("exceptions", ("Count", "Message", "Traceback", "Nodes"), texts=0)
LAYOUTS: Final = (STATS, HISTORY, FAILURES, EXCEPTIONS)


@dataclass
class RowReader:
    """Reads the rows of one file as mappings from column to text; counts unreadable lines, which `damage` describes.

    Cells have one character per byte; `Texts` decodes them.
    """

    path: Path
    layout: Layout
    skipped: int = 0
    first_skipped: bytes = b""
    taken: int = 0
    cut: bool = False
    header: list[str] = field(default_factory=list)

    def rows(self) -> Iterator[dict[str, str]]:
        """Rows one after another, because a history can be long; InputError if it isn't this kind of Locust's files.

        Callers pass rows that they can't use to `reject`.
        """
        if not self.exists:
            return
        with closing(lines_of(self.path)) as all_lines:
            lines = _Lines(all_lines)
            if self._read_header(lines):
                yield from self._read_rows(lines)

    def reject(self, row: Mapping[str, str]) -> None:
        """Count a row with the right columns but wrong values as unreadable."""
        self.taken -= 1
        self._skip(",".join(row.values()).encode("latin-1"))

    @property
    def exists(self) -> bool:
        return self.path.exists()

    @property
    def has_lost(self) -> bool:
        """Whether anything was left out; known once the rows have been read."""
        return self.cut or self.skipped > 0

    @property
    def damage(self) -> Iterator[str]:
        """What was missing or unreadable, one sentence each; known once the rows have been read."""
        name = f"the {self.layout.name} file"
        if not self.exists:
            yield f"there is no {self.layout.name} file"
        elif not self.header:
            yield f"{name} ends within its first line" if self.cut else f"{name} is empty"
        elif self.cut:
            yield f"{name} ends in the middle of a line; that line was left out"
        if self.skipped:
            yield f"{name}: {left_out(self.skipped)}"

    @property
    def problem(self) -> Problem:
        """The problem with a file from which no row could be read."""
        remedy = "save it as Locust wrote it, or leave it out: a report needs only one of the four"
        if not self.skipped:
            what = "it ends within its first row" if self.cut and self.header else "it has no row"
            return Problem(str(self.path), what, remedy)
        lines = f"not one of its {self.skipped:,} lines" if self.skipped > 1 else "not its only line"
        what = f"{lines} can be read as {len(self.header)} values of the right kind"
        first = self.first_skipped[:_LONGEST_HEADER].decode(errors="backslashreplace")
        return Problem(str(self.path), what, remedy, got=excerpt(first.rstrip("\r\n")))

    def _read_header(self, lines: _Lines) -> bool:
        """Whether rows can follow: False if nothing, or an incomplete header, was written."""
        line = next((line for line in lines if line.strip(b"\r\n")), b"")
        header = cells_of(line.rstrip(b"\r\n")) if len(line) < _LONGEST_HEADER else []
        if (not line and not lines.seen) or (line and not lines.whole and _begins(header, self.layout)):
            self.cut = bool(line)
            return False
        if not set(self.layout.columns) <= set(header):
            what = f"not a {self.layout.name} file of Locust 1.0 or later: its first line is different"
            remedy = f"it has to begin with {','.join(self.layout.columns[:4])}; give the prefix of Locust's --csv"
            got = line[:_LONGEST_HEADER].decode(errors="backslashreplace").rstrip("\r\n")
            raise InputError(Problem(str(self.path), what, remedy, got=excerpt(got)))
        if twice := repeated(header):
            what = f"several columns of the {self.layout.name} file are called {' and '.join(map(printable, twice))}"
            raise InputError(Problem(str(self.path), what, "save it as Locust wrote it: each column once"))
        self.header = header
        lines.skipped = line.rstrip(b"\r\n")
        self._unescaped = line.startswith(b'"') and self.layout.texts > 0
        return True

    def _read_rows(self, lines: _Lines) -> Iterator[dict[str, str]]:
        yield from self._all_rows(lines)
        # A history's counters show where another run begins; totals of several runs are meaningless.
        if lines.skips and self.layout is not HISTORY:
            what = "several runs in one file: its first line appears again"
            raise InputError(Problem(str(self.path), what, "give the CSVs of each run alone, as Locust wrote them"))

    def _all_rows(self, lines: _Lines) -> Iterator[dict[str, str]]:
        if self._unescaped:
            yield from self._unescaped_rows(lines)
        else:
            records = Records(len(self.header))
            for record in chain(records.add(lines.all_but_a_cut_one()), records.end()):
                yield from self._row(cells_of(record) or [record.decode("latin-1")])
            self.skipped += records.skipped
            self.first_skipped = self.first_skipped or records.first_skipped
            self.cut = not lines.whole

    def _unescaped_rows(self, lines: _Lines) -> Iterator[dict[str, str]]:
        # One row behind, because only the end of the file shows whether the last row is complete.
        previous: list[str] | None = None
        for record in self._unescaped_records(lines):
            if previous is not None:
                yield from self._row(previous)
            previous = record
        if previous is not None and (lines.whole or self._ends_without_newline(previous)):
            yield from self._row(previous)
        elif not lines.whole:
            self.cut = True

    def _row(self, record: list[str]) -> Iterator[dict[str, str]]:
        if len(record) == len(self.header):
            self.taken += 1
            yield dict(zip(self.header, record, strict=True))
        else:
            self._skip(",".join(record).encode("latin-1"))

    def _skip(self, line: bytes) -> None:
        self.first_skipped = self.first_skipped or line
        self.skipped += 1

    def _ends_without_newline(self, record: list[str]) -> bool:
        """Locust 1.0 writes no newline after the last row of two of its files: Aggregated, and any failure."""
        return self._unescaped and self.layout is not HISTORY and len(record) == len(self.header)

    def _unescaped_records(self, lines: Iterable[bytes]) -> Iterator[list[str]]:
        """Records end where a line ends in as many numbers as there are columns after the texts."""
        numbers = len(self.header) - self.layout.texts
        tail = re.compile(rf'",((?:{_NUMBER},){{{numbers - 1}}}{_NUMBER})[\r\n]*$', re.ASCII)
        parts: list[str] = []
        for line in lines:
            if not parts and not line.strip(b"\r\n"):
                continue
            parts.append(line.decode("latin-1"))
            if tail.search(parts[-1]):
                yield _unescaped_record("".join(parts), tail, self.layout.texts)
                parts = []
            elif len(parts) == _MOST_LINES:
                yield [parts[0]]
                parts = []
        if parts:
            yield [parts[0]]


def refuse_unreadable(readers: list[RowReader]) -> None:
    """InputError for files of which no line could be read, or if no file has a row; call it after reading all rows.

    A header alone, or a first row cut off by a crash, is fine if another file has rows: Locust leaves those early on.
    """
    none_at_all = not any(reader.taken for reader in readers)
    problems = [
        reader.problem
        for reader in readers
        if reader.exists and not reader.taken and (reader.skipped or (none_at_all and reader.path.stat().st_size))
    ]
    if problems:
        raise InputError(problems)
    if none_at_all:
        files = ", ".join(reader.path.name for reader in readers if reader.exists)
        what = "Locust left nothing: each file is empty"
        raise InputError(Problem(str(readers[0].path.parent), what, "give the CSVs of a run", got=files))


class _Lines:
    """The lines of a file; remembers whether there were any, and whether the last one was complete."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self._lines = lines
        self.whole = True
        self.seen = False
        self.skipped: bytes | None = None
        """A line, without its end; lines like it are left out."""
        self.skips = 0

    def __iter__(self) -> Iterator[bytes]:
        for line in self._lines:
            self.seen = True
            self.whole = line.endswith((b"\r", b"\n"))
            if self.skipped is not None and line.rstrip(b"\r\n") == self.skipped:
                self.skips += 1
            else:
                yield line

    def all_but_a_cut_one(self) -> Iterator[bytes]:
        return (line for line in self if self.whole)


def _begins(header: list[str], layout: Layout) -> bool:
    """Whether this is a truncated header: the layout's columns in order, the last of them incomplete."""
    known = layout.columns[:4]
    return all(whole.startswith(cell.strip('"')) for whole, cell in zip(known, header, strict=False))


def _unescaped_record(text: str, tail: re.Pattern[str], texts: int) -> list[str]:
    """The cells of a record: properly escaped, as saved by a spreadsheet, or split at the first `","` of each text."""
    try:
        rows = list(csv.reader((f"{line}\n" for line in text.rstrip("\r\n").split("\n")), strict=True))
    except csv.Error:
        rows = []
    match = tail.search(text)
    assert match is not None  # noqa: S101 - the caller has seen it
    numbers = [number.strip('"') for number in match[1].split(",")]
    if len(rows) == 1 and len(rows[0]) == texts + len(numbers):
        return rows[0]
    return [*text[: match.start()].removeprefix('"').split('","', texts - 1), *numbers]
