"""The chunked transfer coding; pure. Extensions and trailers are skipped.

Source: RFC 9112, section 7.1.
"""

from __future__ import annotations

import re
from typing import Final, NoReturn

from loadproof.http.head import MAX_HEAD_BYTES, BeyondLimitError, BrokenBodyError

_LONGEST_LINE_BYTES: Final = 4096
_BEGUN_SIZE: Final = re.compile(rb"[0-9A-Fa-f]{1,15}[ \t]*;")
_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\x00-\x08\x0a-\x1f]*)?")


class ChunkedBody:
    """One body: call `feed` until it returns what follows the body. A body longer than `max_bytes` is not kept."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._unread = bytearray()
        self._body = bytearray()
        self.size = 0
        """Bytes received so far, including those that are not kept."""
        self._missing = 0
        """Bytes of the current chunk, including its CRLF, still to come; 0 before a chunk's size."""
        self._in_trailers = False
        self._trailer_bytes = 0

    @property
    def body(self) -> bytes:
        return bytes(self._body)

    def feed(self, received: bytes) -> bytes | None:
        """What follows the body, once it is complete; MalformedAnswerError if these are not chunks."""
        self._unread += received
        while True:
            if self._missing and not self._take_chunk():
                return None
            line = self._take_line()
            if line is None:
                return None
            if self._in_trailers:
                if not line:
                    return bytes(self._unread)
            else:
                self._begin_chunk(line)

    def _begin_chunk(self, line: bytes) -> None:
        match = _SIZE.fullmatch(line)
        if match is None:
            raise BrokenBodyError("not a chunk's size")
        size = int(match[1], 16)
        self._in_trailers = size == 0
        self._missing = size + 2 if size else 0

    def _take_chunk(self) -> bool:
        """False until the chunk is complete; whatever is available is consumed."""
        wanted = max(0, self._missing - 2)
        taken = self._unread[:wanted]
        del self._unread[: len(taken)]
        self.size += len(taken)
        if self.size <= self._max_bytes:
            self._body += taken
        else:
            self._body.clear()
        self._missing -= len(taken)
        if self._missing > 2 or len(self._unread) < self._missing:
            return False
        if self._unread[:2] != b"\r\n":
            raise BrokenBodyError("a chunk longer than its size")
        del self._unread[:2]
        self._missing = 0
        return True

    def _take_line(self) -> bytes | None:
        end = self._unread.find(b"\r\n")
        if end < 0:
            if len(self._unread) > _LONGEST_LINE_BYTES:
                self._refuse_line()
            return None
        line = bytes(self._unread[:end])
        del self._unread[: end + 2]
        if self._in_trailers:
            self._trailer_bytes += len(line)
            if self._trailer_bytes > MAX_HEAD_BYTES:
                raise BeyondLimitError(f"trailers of more than {MAX_HEAD_BYTES:,} bytes")
        return line

    def _refuse_line(self) -> NoReturn:
        """What doesn't even begin like a chunk size is the target's mistake, however long it is."""
        if not self._in_trailers and _BEGUN_SIZE.match(self._unread) is None:
            raise BrokenBodyError("not a chunk's size")
        raise BeyondLimitError(f"a line of more than {_LONGEST_LINE_BYTES:,} bytes outside the chunks")
