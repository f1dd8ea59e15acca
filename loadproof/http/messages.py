"""Requests, their timing, and how they can fail."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping


_IDEMPOTENT_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"})
"""Source: RFC 9110, section 9.2.2."""


UNAUTHORIZED: Final = 401
"""Source: RFC 9110, section 15.5.2."""
Want = Literal["ports", "files", "memory"]
_LACKING: Final[dict[Want, str]] = {"ports": "free port", "files": "file left to open", "memory": "memory"}


class TransportError(Exception):
    """The request got no complete answer."""


class RequestTimeoutError(TransportError):
    """It took longer than allowed; the message names the part that did."""


class ConnectTimeoutError(RequestTimeoutError):
    """The connection was not established in time."""


class ConnectionFailedError(TransportError):
    """The connection was refused, reset or closed too early, or the answer isn't HTTP."""


class WantError(TransportError):
    """This machine had no port, file or memory left for the request, which the target never saw."""

    def __init__(self, of: Want, reason: str) -> None:
        super().__init__(f"the generator's own: no {_LACKING[of]} ({reason})")
        self.of = of


class UnreadAnswerError(TransportError):
    """An answer arrived, but loadproof doesn't read that much: its own limit, not the target's failure."""


@dataclass(frozen=True)
class Request:
    """A complete request: its bytes on the wire are these plus the connection's own headers."""

    method: str
    """In upper case; sent as given."""
    path: str
    """Path and query, percent-encoded, below the target's base URL."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """In addition to the connection's own; UnsendableHeaderError if one contains a character that no header can."""
    body: bytes = b""
    """Sent with its Content-Length."""
    repeatable: bool | None = None
    """May be sent again if a kept-alive connection turns out to be closed and nothing was received.

    None: if its method is idempotent. Source: RFC 9110, section 9.2.2.
    """

    follow_redirects: bool = False
    """Only to the same origin; other redirects are answers like any other."""
    is_below_base: bool = True
    """The path is relative to the base URL; False: relative to the host."""

    def with_headers(self, headers: Mapping[str, str]) -> Request:
        """The same request with these headers.

        `dataclasses.replace` takes several times as long, and users with a token need this for each request.
        """
        copied = object.__new__(Request)
        vars(copied).update(vars(self), headers=headers)
        return copied

    @property
    def may_be_repeated(self) -> bool:
        return self.method in _IDEMPOTENT_METHODS if self.repeatable is None else self.repeatable


class Timing:
    """The moments of one request, in monotonic seconds, and how long its parts took."""

    began_s: float = 0.0
    connect_s: float = 0.0
    """Seconds spent connecting, if it had to connect."""
    sent_s: float = 0.0
    """When the first byte was sent, the second time if it was repeated; `began_s` if none was."""
    first_byte_s: float = 0.0
    """Seconds from sending to the first byte of an answer."""
    ended_s: float = 0.0
    """When the last byte arrived, or it failed."""
    is_repeated: bool = False
    """Sent a second time, because the server can't have seen the first."""
    has_surplus: bool = False
    """The server sent something that answers no request: after this answer, or before this request."""
    is_marked: bool = False
    """Whether one of the two is set."""


@dataclass(frozen=True)
class RequestTimeouts:
    """How long the parts of a request may take, in seconds; anything slower is a RequestTimeoutError."""

    connect_s: float
    """Until the connection is established, including TLS."""
    total_s: float
    """From connecting or sending to the last byte of the answer."""
    first_byte_s: float | None = None
    """From sending to the first byte of the answer; None: no limit besides the total."""
    keep_alive_idle_s: float | None = None
    """A connection unused for this long is closed before the server might close it; None: it stays open."""
    each_byte_s: float | None = None
    """Instead of `first_byte_s`: to the first byte of the answer, and then from each part received to the next."""
