"""Connections to the servers of a test, and answers that many tests share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadproof.http.connection import Connection
from loadproof.http.messages import Request, RequestTimeouts, Timing
from loadproof.http.origin import Origin

if TYPE_CHECKING:
    from loadproof.http.answers import Answer

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Seen: yes\r\n\r\nhi"
CLOSING = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
PATIENT = RequestTimeouts(20.0, 20.0)
"""Long enough however busy the machine is."""
made: list[Connection] = []
"""Closed when the test has ended."""


def connection_to(url: str, timeouts: RequestTimeouts = PATIENT, **settings: object) -> Connection:
    made.append(Connection(Origin.of(url), timeouts, **settings))
    return made[-1]


def get(url: str, request: Request = Request("GET", "/"), **changes: object) -> Answer:
    return connection_to(url, **changes).exchange(request, Timing())
