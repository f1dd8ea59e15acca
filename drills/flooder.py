"""One address that sends requests at a rate, whatever the answers, and counts the outcomes by endpoint.

    python -m drills.flooder http://127.0.0.1:8000 --rps 5000 --seconds 15
    python -m drills.flooder http://127.0.0.1:8000 --path /metrics --header 'X-Client: flooder' --connect-anew

Prints JSON: `{"balance": {"200": 30, "429": 44970}, …}`. It measures no times, so a request is much cheaper than with a
load generator, and a target on the same machine has the CPU time to answer.
"""

from __future__ import annotations

import argparse
import json
import selectors
import socket
import time
from collections import Counter, defaultdict, deque
from itertools import count, cycle
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

from payments_api.settings import DEVELOPMENT_TOKEN

if TYPE_CHECKING:
    from collections.abc import Callable

ADDRESS: Final = "127.66.0.1"
_CONNECTIONS: Final = 64
"""The most requests in flight; a target that can't keep up gets requests as fast as it answers."""
_WAIT_S: Final = 0.001
_LAST_ANSWERS_S: Final = 5.0
_CHUNK_BYTES: Final = 65_536
_HEAD_END: Final = b"\r\n\r\n"
_LENGTH: Final = b"content-length: "
_MIX: Final = ("balance",) * 12 + ("transactions",) * 5 + ("webhooks",) * 3

Counts = dict[str, Counter[str]]


class Manner(NamedTuple):
    """What is requested, and how."""

    path: str = ""
    """GET of this path; '': the mix of requests that have limits."""
    header: str = ""
    """An additional header line in each request, as a proxy would add it."""
    connects_anew: bool = False
    """A new connection per request, instead of 64 persistent ones."""


MIXED: Final = Manner()


def main() -> None:
    parser = argparse.ArgumentParser(description="Flood a target on loopback from one address.")
    parser.add_argument("url")
    parser.add_argument("--rps", type=float, default=5000)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--path", default="", help="GET this path instead of the mix")
    parser.add_argument("--header", default="", help="one more line in each request")
    parser.add_argument("--connect-anew", action="store_true", help="a connection per request")
    options = parser.parse_args()
    manner = Manner(options.path, options.header, options.connect_anew)
    print(json.dumps(flood(options.url, rps=options.rps, seconds=options.seconds, manner=manner)))


def flood(url: str, *, rps: float, seconds: float, manner: Manner = MIXED) -> Counts:
    """Flood the target; returns the number of answers by endpoint (or the one path) and status."""
    with selectors.DefaultSelector() as selector:
        idle = deque(_Asking(url, manner, selector) for _ in range(_CONNECTIONS))
        endpoints = cycle((manner.path,) if manner.path else _MIX)
        counts: Counts = defaultdict(Counter)
        began_s, sent, answered = time.monotonic(), 0, 0
        while (passed_s := time.monotonic() - began_s) < seconds + _LAST_ANSWERS_S:
            due = int(min(passed_s, seconds) * rps) - sent
            for _ in range(min(due, len(idle))):
                idle.popleft().ask(next(endpoints))
                sent += 1
            if passed_s >= seconds and answered == sent:
                break
            for key, _ in selector.select(_WAIT_S):
                asking: _Asking = key.data
                if (status := asking.answer()) is not None:
                    counts[asking.endpoint][status] += 1
                    answered += 1
                    idle.append(asking)
        for key in list(selector.get_map().values()):
            key.data.close()
    return counts


class _Asking:
    """A connection with one request at a time."""

    def __init__(self, url: str, manner: Manner, selector: selectors.BaseSelector) -> None:
        self.endpoint = ""
        self._place = urlsplit(url).hostname or "", urlsplit(url).port or 80
        self._manner = manner
        self._lines = "".join(
            f"{line}\r\n" for line in (manner.header, "connection: close" if manner.connects_anew else "") if line
        ).encode()
        self._selector = selector
        self._received = b""
        self._connection: socket.socket | None = None
        if not manner.connects_anew:
            self._connection = self._connect()

    def ask(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self._received = b""
        if self._connection is None:
            self._connection = self._connect()
        head, end, body = (_REQUESTS[endpoint]() if endpoint in _REQUESTS else _get(endpoint)).partition(_HEAD_END)
        self._connection.sendall(head + b"\r\n" + self._lines + end[2:] + body)

    def answer(self) -> str | None:
        """The status, once the answer is complete."""
        assert self._connection is not None
        chunk = self._connection.recv(_CHUNK_BYTES)
        if not chunk:
            raise ConnectionError(f"flooder: the target closed a connection, got {self._received!r} before")
        self._received += chunk
        head, end, body = self._received.partition(_HEAD_END)
        length = head.lower().partition(_LENGTH)[2].partition(b"\r\n")[0]
        if not end or len(body) < int(length):
            return None
        if self._manner.connects_anew:
            self.close()
        return head[9:12].decode()

    def close(self) -> None:
        if self._connection is not None:
            self._selector.unregister(self._connection)
            self._connection.close()
            self._connection = None

    def _connect(self) -> socket.socket:
        connection = socket.create_connection(self._place, timeout=10, source_address=(ADDRESS, 0))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._selector.register(connection, selectors.EVENT_READ, self)
        return connection


_NUMBERS: Final = count()
_RUN: Final = time.time_ns()
"""Makes keys and events unique across floods."""


def _get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nhost: target\r\nuser-agent: flooder\r\n\r\n".encode()


def _balance() -> bytes:
    return _get("/balance/acct-000001")


def _payment() -> bytes:
    order = b'{"debit":"acct-000001","credit":"acct-000002","amount":1,"currency":"EUR"}'
    return _posted("/transactions", f"idempotency-key: {_RUN}-{next(_NUMBERS)}", order)


def _event() -> bytes:
    event = b'{"update_id":%d}' % (_RUN + next(_NUMBERS))
    return _posted("/webhooks/telegram", f"x-telegram-bot-api-secret-token: {DEVELOPMENT_TOKEN}", event)


def _posted(path: str, header: str, body: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nhost: target\r\nuser-agent: flooder\r\ncontent-type: application/json\r\n"
    return f"{head}{header}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


_REQUESTS: Final[dict[str, Callable[[], bytes]]] = {"balance": _balance, "transactions": _payment, "webhooks": _event}


if __name__ == "__main__":
    main()
