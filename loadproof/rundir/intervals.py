"""intervals.csv.gz: gzip members that are appended during the run, and read as a whole or as they arrive."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from loadproof.rundir.rows import IntervalRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
from loadproof.rundir.files import append

_READ_BYTES: Final = 1 << 20
_BLOCK_BYTES: Final = 2 << 20
"""At a time, compressed and decompressed."""


def append_intervals(path: Path, rows: Iterable[Sequence[Any]]) -> None:
    """Append one gzip member of rows with an IntervalRow's columns; OSError if the disk doesn't take it."""
    text = "".join(["%d,%s,%s,%s,%s,%d,%d\n" % tuple(row) for row in rows])  # noqa: UP031 - half the time of an f-string
    append(path, _packed(text), header=_packed(",".join(IntervalRow._fields) + "\n"))


def _packed(text: str) -> bytes:
    return gzip.compress(text.encode(), compresslevel=1, mtime=0)


def read_intervals(path: Path) -> Iterator[bytes]:
    """The CSV in blocks of complete lines, from all complete gzip members and the complete lines of a torn last one."""
    parts: list[bytes] = []
    size = 0
    for chunk in _decompressed(path):
        parts.append(chunk)
        size += len(chunk)
        if size >= _BLOCK_BYTES:
            lines, newline, rest = b"".join(parts).rpartition(b"\n")
            yield lines + newline
            parts, size = [rest], len(rest)
    lines, newline, _ = b"".join(parts).rpartition(b"\n")
    yield lines + newline


def _decompressed(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        member = zlib.decompressobj(wbits=31)
        packed = file.read(_READ_BYTES)
        while packed:
            try:
                chunk = member.decompress(packed)
            except zlib.error:
                return
            yield chunk
            packed = member.unused_data
            if member.eof:
                member = zlib.decompressobj(wbits=31)
            packed = packed or file.read(_READ_BYTES)


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
                packed = file.read()
        except FileNotFoundError:
            return b""
        parts = []
        while packed:
            member = zlib.decompressobj(wbits=31)
            parts.append(member.decompress(packed))
            if not member.eof:
                parts.pop()
                break
            self._at += len(packed) - len(member.unused_data)
            packed = member.unused_data
        return b"".join(parts)
