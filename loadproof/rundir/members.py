"""Packs text into gzip members that a run appends to a file, and reads it back, even if the last member is torn."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_READ_BYTES: Final = 1 << 20
_BLOCK_BYTES: Final = 2 << 20
"""At a time, compressed and decompressed."""
_GZIP: Final = 31
"""A header and trailer of gzip, and the largest window. Source: zlib.h, deflateInit2."""


class Packing:
    """One gzip member, made piece by piece so that no single call takes long."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(1, zlib.DEFLATED, _GZIP)
        self._parts: list[bytes] = []

    def add(self, text: str) -> None:
        self._parts.append(self._deflate.compress(text.encode()))

    def member(self) -> bytes:
        """The complete member; nothing can be added afterwards."""
        return b"".join([*self._parts, self._deflate.flush()])


def packed(text: str) -> bytes:
    """The text as one gzip member."""
    packing = Packing()
    packing.add(text)
    return packing.member()


class MemberLines:
    """A file's CSV in blocks of complete lines, from complete members and the complete lines of a torn last one.

    OSError if it can't be opened or read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.is_torn = False
        """Whether part of the file could not be read; known once all blocks have been read."""

    def __iter__(self) -> Iterator[bytes]:
        parts: list[bytes] = []
        size = 0
        for chunk in self._decompressed():
            parts.append(chunk)
            size += len(chunk)
            if size >= _BLOCK_BYTES:
                lines, newline, rest = b"".join(parts).rpartition(b"\n")
                yield lines + newline
                parts, size = [rest], len(rest)
        lines, newline, rest = b"".join(parts).rpartition(b"\n")
        self.is_torn |= bool(rest)
        yield lines + newline

    def _decompressed(self) -> Iterator[bytes]:
        with self._path.open("rb") as file:
            member = zlib.decompressobj(wbits=_GZIP)
            is_within, packed_bytes = False, file.read(_READ_BYTES)
            while packed_bytes:
                try:
                    chunk = member.decompress(packed_bytes)
                except zlib.error:
                    self.is_torn = True
                    return
                yield chunk
                packed_bytes, is_within = member.unused_data, not member.eof
                if member.eof:
                    member = zlib.decompressobj(wbits=_GZIP)
                packed_bytes = packed_bytes or file.read(_READ_BYTES)
        self.is_torn = is_within
