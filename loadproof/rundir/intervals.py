"""intervals.csv.gz: gzip members that are appended during the run, and read as a whole or as they arrive."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

from loadproof.rundir.files import append
from loadproof.rundir.members import MemberLines, packed
from loadproof.rundir.rows import IntervalRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path


def append_intervals(path: Path, rows: Iterable[Sequence[Any]]) -> None:
    """Append one gzip member of rows with an IntervalRow's columns; OSError if it can't be written."""
    text = "".join(["%d,%s,%s,%s,%s,%d,%d\n" % tuple(row) for row in rows])  # noqa: UP031 - half the time of an f-string
    append(path, packed(text), header=packed(",".join(IntervalRow._fields) + "\n"))


def read_intervals(path: Path) -> MemberLines:
    """The CSV in blocks of complete lines."""
    return MemberLines(path)


class IntervalsTail:
    """Reads an intervals.csv.gz that is being written, each complete gzip member once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at = 0

    def read(self) -> bytes:
        """The lines of the members completed since the last call; none as long as there is no file."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._at)
                new = file.read()
        except FileNotFoundError:
            return b""
        parts = []
        while new:
            member = zlib.decompressobj(wbits=31)
            parts.append(member.decompress(new))
            if not member.eof:
                parts.pop()
                break
            self._at += len(new) - len(member.unused_data)
            new = member.unused_data
        return b"".join(parts)
