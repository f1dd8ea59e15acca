"""Correct answers, framed in ways that real servers use and RFC 9110 and 9112 allow."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.adversary.bank import Answer
    from bench.adversary.wire import Request


def chunked(answer: Answer) -> bytes:
    """In chunks of seven bytes, with extensions and a trailer."""
    body = answer.payload()
    pieces = [body[start : start + 7] for start in range(0, len(body), 7)]
    chunks = b"".join(b"%x;ext=1\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return answer.head(("Transfer-Encoding", "chunked")) + chunks + b"0\r\nX-Trailer: 1\r\n\r\n"


def encoded(encoding: str, body: bytes, answer: Answer) -> bytes:
    return replace(answer, body=body, headers=(*answer.headers, ("Content-Encoding", encoding))).whole()


def gzipped(answer: Answer) -> bytes:
    return encoded("gzip", gzip.compress(answer.payload()), answer)


def in_two_members(answer: Answer) -> bytes:
    body = answer.payload()
    return encoded("gzip", gzip.compress(body[:5]) + gzip.compress(body[5:]), answer)


def identity(answer: Answer) -> bytes:
    return encoded("identity", answer.payload(), answer)


def closing(answer: Answer) -> bytes:
    return answer.whole(("Connection", "close"))


def until_closed(answer: Answer) -> bytes:
    """The body ends where the connection does."""
    return answer.head(("Connection", "close")) + answer.payload()


def of_1996(answer: Answer) -> bytes:
    """HTTP/1.0, which closes the connection by default."""
    return answer.head(version="HTTP/1.0") + answer.payload()


def of_1996_kept(answer: Answer) -> bytes:
    length = ("Content-Length", str(len(answer.payload())))
    return answer.head(length, ("Connection", "keep-alive"), version="HTTP/1.0") + answer.payload()


def odd_head(answer: Answer) -> bytes:
    """No reason phrase, spaces and tabs around values, an empty value, names in mixed case."""
    fields = [b"cOnTeNt-LeNgTh:\t%d \t" % len(answer.payload()), b"X-Empty:"]
    fields += [f"{name.upper()}:{value}".encode() for name, value in answer.headers]
    return b"HTTP/1.1 %d \r\n" % answer.status + b"\r\n".join(fields) + b"\r\n\r\n" + answer.payload()


def folded(answer: Answer) -> bytes:
    """A header's value continues on the next line: a client must read the fold as a space."""
    return answer.whole(("X-Long", "begun\r\n and continued"))


def length_twice(answer: Answer) -> bytes:
    """Content-Length twice, with the same value."""
    length = ("Content-Length", str(len(answer.payload())))
    return answer.head(length, length) + answer.payload()


def announced(answer: Answer) -> bytes:
    """After two informational answers."""
    return b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + answer.whole()


def padded(length: int) -> Callable[[Request, Answer], Answer]:
    """Adds this many padding bytes to the content."""

    def twist(_: Request, answer: Answer) -> Answer:
        return answer.changed(padding="x" * length)

    return twist


def in_four(data: bytes) -> list[bytes]:
    """Four pieces, cut within the status line, the headers and the body."""
    return [data[:9], data[9:40], data[40:-6], data[-6:]]
