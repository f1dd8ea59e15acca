"""Bytes from a connection to whole HTTP/1.1 answers; pure.

Where a message ends is decided here, by RFC 9112, section 6.3: httptools, which reads the heads, leaves a HEAD's answer
open for ever, has no end of file, and takes what follows an answer for the next one.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, Final

import orjson

from loadproof.http.chunked import ChunkedBody
from loadproof.http.head import WITHOUT_BODY, Head, MalformedAnswerError, cached_head, is_interim, possible_head

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_BODY_BYTES: Final = 10_000_000
"""Of what is sent, and of what it unpacks to."""
_MOST_INTERIM_ANSWERS: Final = 16
_END_OF_HEAD: Final = b"\r\n\r\n"
_GZIP_OR_ZLIB: Final = 47
"""zlib's window bits for either format, told by its header."""
_UNREAD: Final = object()


class Answer:
    """Status, headers and body of one answer. What needs work is done when it is asked for."""

    __slots__ = ("_is_packed", "_json", "headers", "received", "status")

    def __init__(
        self, status: int, headers: Mapping[str, str], received: bytes = b"", *, is_packed: bool = False
    ) -> None:
        self.status = status
        self.headers = headers
        """Names in lower case; values of a repeated one joined by commas."""
        self.received = received
        """The body as it came, chunks joined."""
        self._is_packed = is_packed
        self._json: Any = _UNREAD

    @property
    def body(self) -> bytes:
        """The body, unpacked if we had asked for it packed; ValueError when it can't be."""
        return _unpacked(self.received) if self._is_packed else self.received

    @property
    def json(self) -> Any:
        """The body as JSON; ValueError when it isn't."""
        if self._json is _UNREAD:
            self._json = orjson.loads(self.body)
        return self._json


def _unpacked(body: bytes) -> bytes:
    inflater = zlib.decompressobj(_GZIP_OR_ZLIB)
    try:
        unpacked = inflater.decompress(body, MAX_BODY_BYTES)
    except zlib.error as error:
        raise ValueError(f"a body that can't be unpacked: {error}") from None
    if not inflater.eof:
        raise ValueError("a packed body that is cut off, or too large")
    return unpacked


class AnswerParser:
    """One connection's answers, one at a time: `begin`, then `feed` until it gives the answer."""

    def __init__(self) -> None:
        self.begin(is_head=False, unpack=False)

    def begin(self, *, is_head: bool, unpack: bool) -> None:
        """Expect the answer to a new request: to HEAD, one without a body; to a request for gzip, a packed one."""
        self._is_head = is_head
        self._unpack = unpack
        self._head: Head | None = None
        self._unread = b""
        self._parts: list[bytes] = []
        self._missing = 0
        self._chunks: ChunkedBody | None = None
        self._interim_answers = 0
        self.keeps_alive = False
        """The connection may be used again; known once the answer is whole."""

    def feed(self, received: bytes) -> Answer | None:
        """The answer, once it is whole; MalformedAnswerError when it can't become one.

        A connection on which more comes than the answer is not kept alive: the surplus answers no request.
        """
        head = self._head
        if head is None:
            # Most answers come whole and at once, and then nothing is copied but the body.
            unread = self._unread + received if self._unread else received
            end = unread.find(_END_OF_HEAD)
            if end < 0:
                self._unread = possible_head(unread)
                return None
            head = cached_head(unread[: end + 4])
            received = unread[end + 4 :]
            if len(received) == head.length and not self._is_head:
                self.keeps_alive = head.keeps_alive
                return self._answer(head, received)
            return self._begin_body(head, received)
        return self._feed_body(head, received)

    def end(self) -> Answer:
        """The answer that the end of the connection completes; MalformedAnswerError when it cuts it off."""
        head = self._head
        if head is None:
            raise MalformedAnswerError("closed within the headers" if self._unread else "closed without an answer")
        if head.length is not None or head.is_chunked:
            raise MalformedAnswerError("closed within the body")
        self.keeps_alive = False
        return self._answer(head, b"".join(self._parts))

    def _begin_body(self, head: Head, received: bytes) -> Answer | None:
        if is_interim(head.status):
            return self._skip_interim(head, received)
        if self._is_head or head.status in WITHOUT_BODY:
            return self._complete(head, b"", surplus=received)
        if head.length is not None and head.length > MAX_BODY_BYTES:
            raise MalformedAnswerError(f"a body of more than {MAX_BODY_BYTES} bytes")
        self._head = head
        self._missing = head.length or 0
        self._chunks = ChunkedBody(MAX_BODY_BYTES) if head.is_chunked else None
        return self._feed_body(head, received)

    def _skip_interim(self, head: Head, received: bytes) -> Answer | None:
        self._interim_answers += 1
        if head.status == 101:
            raise MalformedAnswerError("switches protocols, which nobody asked for")
        if self._interim_answers > _MOST_INTERIM_ANSWERS:
            raise MalformedAnswerError(f"more than {_MOST_INTERIM_ANSWERS} interim answers")
        self._unread = b""
        return self.feed(received) if received else None

    def _feed_body(self, head: Head, received: bytes) -> Answer | None:
        if self._chunks is not None:
            surplus = self._chunks.feed(received)
            return None if surplus is None else self._complete(head, self._chunks.body, surplus=surplus)
        self._parts.append(received)
        if head.length is None:
            self._missing -= len(received)
            if -self._missing > MAX_BODY_BYTES:
                raise MalformedAnswerError(f"a body of more than {MAX_BODY_BYTES} bytes")
            return None
        self._missing -= len(received)
        if self._missing > 0:
            return None
        body = b"".join(self._parts)
        return self._complete(head, body[: head.length], surplus=body[head.length :])

    def _complete(self, head: Head, body: bytes, *, surplus: bytes) -> Answer:
        self.keeps_alive = head.keeps_alive and not surplus
        return self._answer(head, body)

    def _answer(self, head: Head, body: bytes) -> Answer:
        is_packed = self._unpack and "content-encoding" in head.headers
        return Answer(head.status, head.headers, body, is_packed=is_packed)
