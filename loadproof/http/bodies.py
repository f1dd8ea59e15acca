"""Undoes the content codings of a received body; pure.

The target's mistakes are distinguished from what loadproof doesn't read: only the former count as failures.
Source: RFC 9110, sections 8.4 and 12.5.3; the formats are those of RFC 1950, 1951, 1952 and 7932.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final, NamedTuple

import brotli

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_BODY_BYTES: Final = 10_000_000
"""The largest body that is kept, as received or decoded; a larger one is read and timed, but not kept."""
_MOST_CODINGS: Final = 5
_MOST_MEMBERS: Final = 1000
_PIECE_BYTES: Final = 65_536
_GZIP, _ZLIB, _RAW_DEFLATE = 31, 15, -15
"""zlib's window bits for each format."""
_GZIP_MAGIC: Final = b"\x1f\x8b"
_NOT_READ: Final = "is beyond what loadproof reads"


class WrongBodyError(ValueError):
    """A body that isn't what its headers say; the message contains nothing of it."""


class UnreadBodyError(ValueError):
    """A body that may be right but that loadproof doesn't read; the message names the limit."""


class Wrapping(NamedTuple):
    """The codings applied to the body before it was sent, and its size as received."""

    codings: tuple[str, ...]
    """In the order in which they were applied."""
    accepted: str | None
    """The request's Accept-Encoding; None if it had none, so any coding is acceptable."""
    size: int
    """In bytes; nothing else is kept of a body longer than MAX_BODY_BYTES."""


def codings_of(text: str) -> tuple[str, ...]:
    """A Content-Encoding's codings by their short names, without those that have no effect."""
    names = (name.strip(" \t").lower().removeprefix("x-") for name in text.split(","))
    return tuple(name for name in names if name not in {"", "identity"})


def unwrapped(body: bytes, wrapping: Wrapping) -> bytes:
    """The decoded body; WrongBodyError or UnreadBodyError if it can't be decoded."""
    if wrapping.size > MAX_BODY_BYTES:
        raise UnreadBodyError(f"a body of more than {MAX_BODY_BYTES:,} bytes {_NOT_READ}")
    if not body:
        # The answer to HEAD, or a body without codings.
        return body
    if len(wrapping.codings) > _MOST_CODINGS:
        raise UnreadBodyError(f"a body compressed more than {_MOST_CODINGS} times {_NOT_READ}")
    for coding in reversed(wrapping.codings):
        body = _unpacker(coding, wrapping.accepted)(body)
    return body


def unreadable_codings(accepted: str) -> list[str]:
    """HTTP's codings that this Accept-Encoding names and that loadproof can't decode."""
    return [name for name, is_wanted in _wishes(accepted).items() if is_wanted and name in _ONLY_KNOWN]


def _unpacker(coding: str, accepted: str | None) -> Callable[[bytes], bytes]:
    wishes = {} if accepted is None else _wishes(accepted)
    is_wanted = wishes.get(coding, wishes.get("*", accepted is None))
    known = coding if coding in _UNPACKERS or coding in _ONLY_KNOWN else "something that HTTP doesn't know"
    if not is_wanted:
        raise WrongBodyError(f"compressed as {known}, which the request's Accept-Encoding doesn't allow")
    if coding in _UNPACKERS:
        return _UNPACKERS[coding]
    raise UnreadBodyError(f"a body compressed as {known} {_NOT_READ}")


def _wishes(accepted: str) -> dict[str, bool]:
    """By coding, whether it is acceptable: its weight is not 0."""
    wishes = {}
    for wish in accepted.lower().split(","):
        name, _, weight = wish.partition(";")
        is_refused = weight.replace(" ", "").rstrip("0").rstrip(".") in {"q=", "q=0"}
        wishes[name.strip(" \t").removeprefix("x-")] = not is_refused
    return wishes


def _gunzipped(packed: bytes) -> bytes:
    """All members (RFC 1952, section 2.2); what follows them is not part of the body."""
    content = bytearray()
    at = 0
    for _ in range(_MOST_MEMBERS):
        at = _inflate(packed, at, _GZIP, content)
        if not packed.startswith(_GZIP_MAGIC, at):
            return bytes(content)
    raise UnreadBodyError(f"a body of more than {_MOST_MEMBERS} gzip members {_NOT_READ}")


def _inflated(packed: bytes) -> bytes:
    """With zlib's header, as the standard says, or without it, as some servers send it."""
    header = int.from_bytes(packed[:2])
    has_header = (header >> 8) & 0x0F == zlib.DEFLATED and header % 31 == 0
    content = bytearray()
    _inflate(packed, 0, _ZLIB if has_header else _RAW_DEFLATE, content)
    return bytes(content)


def _inflate(packed: bytes, at: int, window_bits: int, content: bytearray) -> int:
    """Where the stream that begins at `at` ends; in pieces, because zlib copies what it doesn't consume."""
    inflater = zlib.decompressobj(window_bits)
    while not inflater.eof:
        piece = packed[at : at + _PIECE_BYTES]
        if not piece:
            raise WrongBodyError("a compressed body that is cut off")
        try:
            content += inflater.decompress(piece, MAX_BODY_BYTES + 1 - len(content))
        except zlib.error:
            raise WrongBodyError("a compressed body that can't be decompressed") from None
        _check_size(content)
        at += len(piece) - len(inflater.unused_data)
    return at


def _unbrotlied(packed: bytes) -> bytes:
    unpacker = brotli.Decompressor()
    content = bytearray()
    try:
        for at in range(0, len(packed), _PIECE_BYTES):
            piece = packed[at : at + _PIECE_BYTES]
            content += unpacker.process(piece, output_buffer_limit=MAX_BODY_BYTES + 1 - len(content))
            _check_size(content)
    except brotli.error:
        raise WrongBodyError("a compressed body that can't be decompressed") from None
    if not unpacker.is_finished():
        raise WrongBodyError("a compressed body that is cut off")
    return bytes(content)


def _check_size(content: bytearray) -> None:
    if len(content) > MAX_BODY_BYTES:
        raise UnreadBodyError(f"a compressed body of more than {MAX_BODY_BYTES:,} bytes {_NOT_READ}")


_UNPACKERS: Final = {"gzip": _gunzipped, "deflate": _inflated, "br": _unbrotlied}
READABLE_CODINGS: Final = ", ".join(_UNPACKERS)
"""What a request may ask for."""
_ONLY_KNOWN: Final = frozenset({"aes128gcm", "compress", "dcb", "dcz", "exi", "pack200-gzip", "zstd"})
"""Source: IANA's registry of HTTP content codings."""
