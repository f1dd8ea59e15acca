"""What a request is, when its parts happened, and how it can fail."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping


_IDEMPOTENT_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"})
"""Source: RFC 9110, section 9.2.2."""


Want = Literal["ports", "files", "memory"]
_LACKING: Final[dict[Want, str]] = {"ports": "free port", "files": "file left to open", "memory": "memory"}


class TransportError(Exception):
    """The request got no whole answer."""


class RequestTimeoutError(TransportError):
    """It took longer than it may; says which part did."""


class ConnectionFailedError(TransportError):
    """Refused, reset, closed too early, or not HTTP."""


class WantError(TransportError):
    """This machine had nothing left for the request, which the target never saw."""

    def __init__(self, of: Want, reason: str) -> None:
        super().__init__(f"the generator's own: no {_LACKING[of]} ({reason})")
        self.of = of


class UnreadAnswerError(TransportError):
    """One came, and loadproof doesn't read so much of it: its own limit, not the target's failure."""


@dataclass(frozen=True)
class Request:
    """What is asked of the target, whole: its bytes on the wire are these and the connection's own headers."""

    method: str
    """In capitals; sent as it is."""
    path: str
    """Path and query, percent-encoded, below the target's base URL."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Beside the connection's own; UnsendableHeaderError where one holds what no header can."""
    body: bytes = b""
    """Sent with its Content-Length."""
    repeatable: bool | None = None
    """May be sent again when a kept-alive connection turns out to be closed and nothing was received; None: as HTTP
    says of its method."""

    follow_redirects: bool = False
    """To the same origin; others are answers like any other."""
    is_below_base: bool = True
    """The path is below the base URL's; False: below the host."""

    @property
    def may_be_repeated(self) -> bool:
        return self.method in _IDEMPOTENT_METHODS if self.repeatable is None else self.repeatable


class Timing:
    """The moments of one request, monotonic seconds, and how long its parts took."""

    began_s: float = 0.0
    connect_s: float = 0.0
    """How long connecting took, if it had to connect; seconds."""
    sent_s: float = 0.0
    """When the first byte was sent, the second time if it had to be repeated; `began_s` if it never was."""
    first_byte_s: float = 0.0
    """How long it took from sending to the first byte of an answer."""
    ended_s: float = 0.0
    """When the last byte came, or it failed."""
    is_repeated: bool = False
    """Sent a second time, since the server can't have seen the first."""


@dataclass(frozen=True)
class RequestTimeouts:
    """How long the parts of a request may take, in seconds; what takes longer is a RequestTimeoutError."""

    connect_s: float
    """Until the connection stands, TLS included."""
    total_s: float
    """From connecting or sending to the last byte of the answer."""
    first_byte_s: float | None = None
    """From sending to the first byte of the answer; None: no other than the total."""
    keep_alive_idle_s: float | None = None
    """A connection that nobody used for so long is closed, before the server might close it; None: it stays."""
