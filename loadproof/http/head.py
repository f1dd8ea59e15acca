"""Turns the bytes of an answer's head into its status, its headers and what they say about the body; pure.

httptools (llhttp) checks the syntax.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Final, NamedTuple

import httptools

from loadproof.http.bodies import codings_of
from loadproof.http.headers import FixedHeaders

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MAX_HEAD_BYTES: Final = 65_536
WITHOUT_BODY: Final = frozenset({204, 304})
"""Statuses whose answers have no body, whatever their headers say (RFC 9112, section 6.3)."""
_MOST_CACHED_HEADS: Final = 4096
_LARGEST_CACHED_HEAD_BYTES: Final = 2048
_TOO_LARGE: Final = f"headers of more than {MAX_HEAD_BYTES:,} bytes"
_BEGINNING: Final = b"HTTP/1."
_LINE_BREAK: Final = b"\r\n"
_BLANK: Final = b" \t"
_BLANKS: Final = (b" ", b"\t")
_FOLD: Final = re.compile(rb"\r\n[ \t]+")
_LENGTH: Final = b"content-length:"
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] \d{3}(?: [^\r\n]*)?\r\n")


class MalformedAnswerError(Exception):
    """Not HTTP/1.1, or incomplete."""


class UnansweredError(MalformedAnswerError):
    """The connection ended before an answer began."""


class BrokenBodyError(MalformedAnswerError):
    """The head is valid, but the body is cut off or its chunks are malformed."""


class BeyondLimitError(MalformedAnswerError):
    """Possibly valid HTTP, but more than loadproof reads: its own limit, not the target's failure."""


class AnswerHeaders(FixedHeaders):
    """Headers by name in lower case; repeated ones are joined by commas.

    The same object belongs to each answer with the same head.
    """

    def __init__(self, fields: Iterable[tuple[str, str]], reason: str) -> None:
        self.fields = tuple(fields)
        """Names and values as the server wrote them, in its order."""
        self.reason = reason
        """The phrase after the status; may be empty."""
        joined: dict[str, str] = {}
        for name, value in self.fields:
            key = name.lower()
            joined[key] = f"{joined[key]}, {value}" if key in joined else value
        super().__init__(joined)


class Head(NamedTuple):
    """Status line and headers, and what they say about the body."""

    status: int
    headers: AnswerHeaders
    length: int | None
    """Bytes of the body; None if chunks or the end of the connection delimit it, or if there can be no body."""
    is_chunked: bool
    keeps_alive: bool
    codings: tuple[str, ...]
    """The codings applied to the body before it was sent."""


def cached_head(block: bytes) -> Head:
    """A server's heads repeat: most come from the cache, at a fraction of the cost (`bench/parts.py`)."""
    return _cached_head(block) if len(block) <= _LARGEST_CACHED_HEAD_BYTES else read_head(block)


def read_head(block: bytes) -> Head:
    """Status line and headers, up to and including the empty line; MalformedAnswerError if they aren't HTTP/1."""
    if not block.startswith(_BEGINNING):
        raise MalformedAnswerError("not HTTP: it does not begin with a status line of HTTP/1")
    fields = _read_fields(block)
    if len(block) > MAX_HEAD_BYTES:
        raise BeyondLimitError(_TOO_LARGE)
    headers, status = AnswerHeaders(fields.headers, fields.reason), fields.status
    codings = headers.get("transfer-encoding", "").lower().replace(" ", "")
    if codings not in {"", "chunked"}:
        raise MalformedAnswerError("a transfer coding that was not requested")
    may_have_body = not is_interim(status) and status not in WITHOUT_BODY
    return Head(
        status=status,
        headers=headers,
        length=int(headers["content-length"]) if "content-length" in headers and may_have_body else None,
        is_chunked=bool(codings),
        keeps_alive=_keeps_alive(headers, fields.version),
        codings=codings_of(headers["content-encoding"]) if "content-encoding" in headers else (),
    )


_cached_head = functools.lru_cache(_MOST_CACHED_HEADS)(read_head)


class _Fields:
    """The callbacks that httptools calls."""

    status: int
    version: str

    def __init__(self) -> None:
        self.headers: list[tuple[str, str]] = []
        self.reason = ""
        self.are_complete = False

    def on_status(self, reason: bytes) -> None:
        self.reason = reason.decode("latin-1").strip(" \t")

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.decode("latin-1"), value.decode("latin-1").strip(" \t")))

    def on_headers_complete(self) -> None:
        self.are_complete = True


def _read_fields(block: bytes) -> _Fields:
    fields = _Fields()
    parser = httptools.HttpResponseParser(fields)
    try:
        parser.feed_data(block)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserError as error:
        # Retried without what is unusual but allowed: hardly any head has it, and checking every head would cost time.
        plain = _plain(block)
        if plain == block:
            raise MalformedAnswerError(f"not HTTP: {error}") from None
        return _read_fields(plain)
    if not fields.are_complete:
        raise MalformedAnswerError("not HTTP: an incomplete head")
    fields.status, fields.version = parser.get_status_code(), parser.get_http_version()
    return fields


def _plain(block: bytes) -> bytes:
    """The same head with folded lines joined, and with one Content-Length in place of several equal ones.

    Idempotent.

    Source: RFC 9112, sections 5.2 (a client must read what is folded) and 6.3 (a list of equal lengths is one).
    """
    status_line, _, rest = block.partition(_LINE_BREAK)
    if rest[:1] in _BLANKS:
        # Before the first header nothing is folded (section 2.2).
        return block
    lines = _FOLD.sub(b" ", rest).split(_LINE_BREAK)
    values = [line[len(_LENGTH) :] for line in lines if _is_length(line)]
    lengths = [length.strip(_BLANK) for length in b",".join(values).split(b",")]
    # Compared as text, without leading zeros: some numbers are too long for `int`.
    if all(map(bytes.isdigit, lengths)) and len({length.lstrip(b"0") for length in lengths}) == 1:
        lines = [_LENGTH + lengths[0], *(line for line in lines if not _is_length(line))]
    return _LINE_BREAK.join([status_line, *lines])


def _is_length(line: bytes) -> bool:
    return line[: len(_LENGTH)].lower() == _LENGTH


def is_interim(status: int) -> bool:
    """Whether another answer follows. A status outside all classes, such as 600, ends a request like any other."""
    return 100 <= status < 200


def _keeps_alive(headers: Mapping[str, str], version: str) -> bool:
    options = {option.strip() for option in headers.get("connection", "").lower().split(",")}
    if version == "1.0":
        return "keep-alive" in options
    return "close" not in options


def possible_head(unread: bytes) -> bytes:
    """What was received, if it can be the beginning of a head: garbage is reported at once, not after the timeout."""
    is_line = b"\n" in unread
    if not (_STATUS_LINE.match(unread) if is_line else unread.startswith(_BEGINNING[: len(unread)])):
        raise MalformedAnswerError("not HTTP: it does not begin with a status line of HTTP/1")
    if b"\n\n" in unread:
        raise MalformedAnswerError("not HTTP: header lines end without a carriage return")
    if len(unread) > MAX_HEAD_BYTES:
        # What only begins like a head is the target's mistake, however much of it there is.
        whole_lines, line_break, _ = unread.rpartition(_LINE_BREAK)
        _read_fields(whole_lines + line_break + _LINE_BREAK)
        raise BeyondLimitError(_TOO_LARGE)
    return unread
