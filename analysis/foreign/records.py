"""Splits a CSV from any tool, as bytes, into complete records, despite odd line ends and unclosed quotes."""

from __future__ import annotations

import csv
import re
from collections import deque
from contextlib import closing
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Final

from loadproof.errors import InputError, Problem

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator
    from pathlib import Path

BLOCK: Final = 1 << 20
_LONGEST_LINE: Final = 1 << 24
"""Longer lines are cut, so that a file without line ends costs no more than its size."""
_MOST_LINES: Final = 1_000
"""Per record: texts with more line breaks are not supported, so that one stray quote can't swallow a file."""
_QUOTED: Final = re.compile(rb'"[^"]*"')
_UTF_8: Final = b"\xef\xbb\xbf"
_UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")


def lines_of(path: Path) -> Generator[bytes]:
    """The lines of `blocks_of`, one after another; close it when done."""
    with closing(blocks_of(path)) as blocks:
        for lines in blocks:
            yield from lines


def blocks_of(path: Path) -> Generator[list[bytes]]:
    """Blocks of lines with their ends (LF, CR, or CR LF), without a byte order mark, which also identifies UTF-16.

    Locust on Windows ends lines with CR CR LF, which reads as a line and a blank one. InputError if the file can't be
    read. The file stays open until the last line is read, or the generator is closed.
    """
    try:
        with path.open("rb") as file:
            yield from _blocks(file)
    except OSError as error:
        remedy = "make it readable, or leave it out"
        raise InputError(Problem(str(path), f"can't be read: {error.strerror or error}", remedy)) from None


def _blocks(file: IO[bytes]) -> Iterator[list[bytes]]:
    mark = file.read(len(_UTF_8))
    file.seek(next((len(known) for known in (_UTF_8, *_UTF_16) if mark.startswith(known)), 0))
    if mark.startswith(_UTF_16):
        codec = "utf-16-le" if mark.startswith(_UTF_16[0]) else "utf-16-be"
        yield file.read().decode(codec, errors="replace").encode().splitlines(keepends=True)
        return
    rest = b""
    while block := file.read(BLOCK):
        *lines, rest = (rest + block).splitlines(keepends=True)
        if len(rest) > _LONGEST_LINE or rest.endswith((b"\r", b"\n")):
            lines.append(rest)
            rest = b""
        yield lines
    if rest:
        yield [rest]


def cells_of(record: bytes) -> list[str]:
    """Cells with one character per byte, so that different texts stay different; empty if it isn't a record."""
    try:
        return next(csv.reader(_broken(record)), [])
    except csv.Error:
        return []


def repeated(header: list[str]) -> list[str]:
    """Names that several columns share, so it is unclear which of them is meant."""
    return sorted({name for name in header if name and header.count(name) > 1})


def _broken(record: bytes) -> Iterator[str]:
    """Split at line feeds only: what else Python takes for a line end may be part of a character."""
    *lines, last = record.decode("latin-1").split("\n")
    yield from (f"{line}\n" for line in lines)
    yield last


@dataclass
class Records:
    """Turns lines into records with a given number of columns; counts anything else, and keeps its first line.

    A quote that is never closed only costs its own line: the lines after it are read as usual.
    """

    columns: int
    skipped: int = 0
    first_skipped: bytes = b""
    _open: list[bytes] = field(default_factory=list)
    """Lines since one with a quote that is not closed yet."""

    def add(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        """Records from these lines, without the last line's end."""
        for new in lines:
            if not self._open and self._is_record(new):
                yield new.rstrip(b"\r\n")
                continue
            waiting = deque([new])
            while waiting:
                line = waiting.popleft()
                if self._open:
                    yield from self._go_on(line, waiting)
                elif self._is_record(line):
                    yield line.rstrip(b"\r\n")
                elif line.count(b'"') % 2:
                    self._open.append(line)
                elif line.strip(b"\r\n"):
                    self.skip(line)

    def add_block(self, lines: list[bytes]) -> list[bytes]:
        """Like `add` for a whole block, but faster if it has no quotes. Records may keep their line ends."""
        if self._open or b'"' in b"".join(lines):
            return list(self.add(lines))
        commas = self.columns - 1
        records = [line for line in lines if line.count(b",") == commas]
        if not commas or len(records) < len(lines):
            return list(self.add(lines))
        return records

    def end(self) -> Iterator[bytes]:
        """Records from the lines held back by a quote that was never closed."""
        while self._open:
            self.skip(self._open[0])
            again, self._open = self._open[1:], []
            yield from self.add(again)

    def skip(self, line: bytes) -> None:
        self.first_skipped = self.first_skipped or line
        self.skipped += 1

    def _go_on(self, line: bytes, waiting: deque[bytes]) -> Iterator[bytes]:
        """Continue a record of several lines; if that fails, only its first line is left out."""
        self._open.append(line)
        # A line with an odd number of quotes closes the text that an earlier one opened.
        closes = line.count(b'"') % 2 == 1
        if closes and self._is_record(record := b"".join(self._open)):
            self._open = []
            yield record.rstrip(b"\r\n")
        elif closes or len(self._open) > _MOST_LINES:
            self.skip(self._open[0])
            waiting.extendleft(reversed(self._open[1:]))
            self._open = []

    def _is_record(self, text: bytes) -> bool:
        quotes = text.count(b'"')
        if quotes % 2 == 0:
            bare = _QUOTED.sub(b"", text) if quotes else text
            return bare.count(b",") + 1 == self.columns and bool(text.strip(b"\r\n"))
        try:
            # A quote within an unquoted text is an ordinary character.
            return len(next(csv.reader(_broken(text.rstrip(b"\r\n")), strict=True))) == self.columns
        except csv.Error:
            return False
