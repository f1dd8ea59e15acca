"""Turns bytes from a connection into complete HTTP/1.1 answers; pure.

Where a message ends is decided here, by RFC 9112, section 6.3: httptools, which reads the heads, never ends the answer
to a HEAD, doesn't handle the end of a connection, and takes what follows an answer for the next one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from loadproof.http import bodies
from loadproof.http.bodies import UnreadBodyError, Wrapping, unwrapped
from loadproof.http.chunked import ChunkedBody
from loadproof.http.head import (
    WITHOUT_BODY,
    BrokenBodyError,
    Head,
    MalformedAnswerError,
    UnansweredError,
    cached_head,
    is_interim,
    possible_head,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_END_OF_HEAD: Final = b"\r\n\r\n"
_UNREAD: Final = object()


class Answer:
    """Status, headers and body of one answer. Anything costly is done on demand."""

    __slots__ = ("_json", "headers", "received", "status", "unread", "wrapping")

    def __init__(
        self, status: int, headers: Mapping[str, str], received: bytes = b"", wrapping: Wrapping | None = None
    ) -> None:
        self.status = status
        self.headers = headers
        """Names in lower case; values of a repeated header joined by commas."""
        self.received = received
        """The body as received, chunks joined; empty if it was too long to be kept."""
        self.wrapping = wrapping
        """None if the body is exactly what was received."""
        self.unread: str | None = None
        """loadproof's own limit that kept the body from being read; None if none did."""
        self._json: Any = _UNREAD

    @property
    def size(self) -> int:
        """Bytes of the body as received."""
        return self.wrapping.size if self.wrapping else len(self.received)

    @property
    def body(self) -> bytes:
        """The decoded body.

        WrongBodyError if it isn't what its headers say, UnreadBodyError if loadproof doesn't read it.
        """
        if self.wrapping is None:
            return self.received
        try:
            return unwrapped(self.received, self.wrapping)
        except UnreadBodyError as error:
            self.unread = str(error)
            raise

    @property
    def json(self) -> Any:
        """The body as JSON; ValueError if it isn't JSON."""
        if self._json is _UNREAD:
            self._json = orjson.loads(self.body)
        return self._json


class AnswerParser:
    """One connection's answers, one at a time: `begin`, then `feed` until it gives the answer."""

    def __init__(self) -> None:
        self.has_surplus = False
        """Whether more than an answer was received, until the connection notes it."""
        self.begin(is_head=False, accepted=None)

    def begin(self, *, is_head: bool, accepted: str | None) -> None:
        """Expect the answer to a new request; to a HEAD, it has no body.

        `accepted` is the request's Accept-Encoding.
        """
        self._is_head = is_head
        self._accepted = accepted
        self._head: Head | None = None
        self._unread = b""
        self._parts: list[bytes] = []
        self._size = 0
        self._chunks: ChunkedBody | None = None
        self.keeps_alive = False
        """Whether the connection may be reused; known once the answer is complete."""

    def feed(self, received: bytes) -> Answer | None:
        """The answer, once it is complete; MalformedAnswerError if it can't become one.

        A connection that delivers more than the answer is not kept alive: the surplus answers no request.
        """
        head = self._head
        if head is None:
            # Most answers arrive complete and at once; then only the body is copied.
            unread = self._unread + received if self._unread else received
            end = unread.find(_END_OF_HEAD)
            if end < 0:
                self._unread = possible_head(unread)
                return None
            head = cached_head(unread[: end + 4])
            received = unread[end + 4 :]
            if len(received) == head.length and not self._is_head:
                self.keeps_alive = head.keeps_alive
                return self._answer(head, received, len(received))
            return self._begin_body(head, received)
        return self._feed_body(head, received)

    def end(self) -> Answer:
        """The answer that the end of the connection completes; MalformedAnswerError if it cuts the answer off."""
        head = self._head
        if head is None:
            if self._unread:
                raise MalformedAnswerError("closed within the headers")
            raise UnansweredError("closed without an answer")
        if head.length is not None or head.is_chunked:
            raise BrokenBodyError("closed within the body")
        self.keeps_alive = False
        return self._answer(head, b"".join(self._parts), self._size)

    def _begin_body(self, head: Head, received: bytes) -> Answer | None:
        if is_interim(head.status):
            return self._begin_after(head, received)
        if self._is_head or head.status in WITHOUT_BODY:
            return self._complete(head, b"", 0, has_surplus=bool(received))
        self._head = head
        self._chunks = ChunkedBody(bodies.MAX_BODY_BYTES) if head.is_chunked else None
        return self._feed_body(head, received)

    def _begin_after(self, head: Head, received: bytes) -> Answer | None:
        """The answer after an interim one and those that follow it, however many: the request's timeout ends them."""
        start = 0
        while is_interim(head.status):
            if head.status == 101:
                raise MalformedAnswerError("switches protocols without being asked")
            end = received.find(_END_OF_HEAD, start)
            if end < 0:
                self._unread = possible_head(received[start:])
                return None
            head = cached_head(received[start : end + 4])
            start = end + 4
        return self._begin_body(head, received[start:])

    def _feed_body(self, head: Head, received: bytes) -> Answer | None:
        if self._chunks is not None:
            surplus = self._chunks.feed(received)
            if surplus is None:
                return None
            return self._complete(head, self._chunks.body, self._chunks.size, has_surplus=bool(surplus))
        self._size += len(received)
        if (self._size if head.length is None else head.length) <= bodies.MAX_BODY_BYTES:
            self._parts.append(received)
        else:
            self._parts.clear()
        if head.length is None or self._size < head.length:
            return None
        body = b"".join(self._parts)[: head.length]
        return self._complete(head, body, head.length, has_surplus=self._size > head.length)

    def _complete(self, head: Head, body: bytes, size: int, *, has_surplus: bool) -> Answer:
        self.has_surplus |= has_surplus
        self.keeps_alive = head.keeps_alive and not has_surplus
        return self._answer(head, body, size)

    def _answer(self, head: Head, body: bytes, size: int) -> Answer:
        """`size` is the size of the body as received, of which nothing else may have been kept."""
        if head.codings or size > len(body):
            return Answer(head.status, head.headers, body, Wrapping(head.codings, self._accepted, size))
        return Answer(head.status, head.headers, body)
