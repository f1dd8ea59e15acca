"""A server that answers in any mixture of ways, right and wrong, and logs the answer to each request."""

from __future__ import annotations

import json
import random
import socket
import struct
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.servers import serving

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LATE_S = 0.25
"""Much longer than it takes for a close and a request to cross: twice the time of connecting, on a busy machine."""


@dataclass(frozen=True)
class Given:
    """The answer given to one request."""

    ident: str
    method: str
    way: str
    outcome: str
    """The outcome that it must be counted as."""
    at_unix_s: float


def _answer(status: str, body: object = None, *headers: str) -> bytes:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(content)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + content


def _plain(ident: str) -> bytes:
    return _answer("200 OK", {"id": ident})


def _chunked(ident: str) -> bytes:
    body = json.dumps({"id": ident}).encode()
    parts = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:3], body[3:]))
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + parts + b"0\r\n\r\n"


ANSWERS = {
    "plain": ("ok", _plain),
    "chunked": ("ok", _chunked),
    "interim": ("ok", lambda ident: b"HTTP/1.1 103 Early Hints\r\n\r\n" + _plain(ident)),
    "null": ("invalid", lambda _: _answer("200 OK")),
    "null field": ("invalid", lambda _: _answer("200 OK", {"id": None})),
    "of another": ("invalid", lambda _: _answer("200 OK", {"id": "other"})),
    "deep": ("invalid", lambda _: _answer("200 OK", b"[" * 3000)),
    "nothing": ("invalid", lambda _: b"HTTP/1.1 204 No Content\r\n\r\n"),
    "not found": ("invalid", lambda _: _answer("404 Not Found")),
    "failed": ("server_error", lambda _: _answer("500 Internal Server Error")),
    "away": ("server_error", lambda _: _answer("503 Service Unavailable")),
    "away for a while": ("throttled", lambda _: _answer("503 Service Unavailable", None, "Retry-After: 1")),
    "too many": ("throttled", lambda _: _answer("429 Too Many Requests", None, "Retry-After: soon")),
    "forbidden": ("rejected", lambda _: _answer("403 Forbidden")),
    "moved to nowhere": ("invalid", lambda _: _answer("302 Found", None, "Location: http://[")),
}
"""Complete answers that leave the connection open: the outcome they count as, and their bytes."""
LAST_ANSWERS = {
    "until the end": ("ok", lambda ident: b"HTTP/1.1 200 OK\r\n\r\n" + json.dumps({"id": ident}).encode()),
    "then closed": ("ok", _plain),
    "cut off": ("connection", lambda ident: _plain(ident)[:-3]),
    "torn chunk": ("connection", lambda ident: _chunked(ident)[:-7]),
    "garbage": ("connection", lambda _: b"@@@@\r\n\r\n"),
    "closed": ("connection", lambda _: b""),
}
"""Answers after which the server closes the connection."""
REFUSALS = {"413 Content Too Large": "invalid", "429 Too Many Requests": "throttled", "503 Service Unavailable": ""}
"""Answers sent before the body was read."""
WAYS = (*ANSWERS, *LAST_ANSWERS, "moved", "slow", "reset", "reset late", "silent", "half", "refused early")


class Mixture:
    """Chooses a way for each request by the seed; a repeated request gets a plain answer."""

    def __init__(self, ways: Sequence[str], seed: int) -> None:
        self._ways = ways
        self._seed = seed
        self._lock = threading.Lock()
        self.log: list[Given] = []

    def last(self) -> dict[str, Given]:
        """The last answer to each request, by its id."""
        return {given.ident: given for given in self.log}

    def times(self) -> Counter[str]:
        return Counter(given.ident for given in self.log)

    def script(self, connection: socket.socket, _: int) -> None:
        """Serve one connection until one side closes it."""
        while head := _read_head(connection):
            method, path = head.split(b" ", 2)[:2]
            kind, _, ident = path.decode().lstrip("/").partition("/")
            if not ident:
                connection.sendall(_answer("200 OK", {"status": "ok"}) if kind == "health" else _answer("404 None"))
                continue
            length = _length_of(head)
            asked = ident.removesuffix("/again")
            way = self._way(asked, is_first=ident == asked)
            if not (length and way == "refused early"):
                _read(connection, length)
            if not self._give(connection, asked, method.decode(), way):
                return

    def _way(self, ident: str, *, is_first: bool) -> str:
        with self._lock:
            is_first = is_first and not any(given.ident == ident for given in self.log)
        return random.Random(f"{self._seed}/{ident}").choice(self._ways) if is_first else "plain"

    def _give(self, connection: socket.socket, ident: str, method: str, way: str) -> bool:
        """Answer a request; returns whether the connection stays open."""
        if way in ANSWERS or way in LAST_ANSWERS:
            outcome, answer = (ANSWERS | LAST_ANSWERS)[way]
            if outcome == "connection":
                time.sleep(LATE_S)
            self._note(ident, method, way, outcome)
            connection.sendall(answer(ident))
            return way in ANSWERS
        return bool(getattr(self, f"_{way.replace(' ', '_')}")(connection, ident, method))

    def _note(self, ident: str, method: str, way: str, outcome: str) -> None:
        """Log the answer before it is sent, so that it is in the log once a client has it."""
        with self._lock:
            self.log.append(Given(ident, method, way, outcome, time.time()))

    def _moved(self, connection: socket.socket, ident: str, method: str) -> bool:
        self._note(ident, method, "moved", "invalid")
        connection.sendall(_answer("307 Temporary Redirect", None, f"Location: /moved/{ident}/again"))
        return True

    def _slow(self, connection: socket.socket, ident: str, method: str) -> bool:
        time.sleep(0.03)
        self._note(ident, method, "slow", "ok")
        connection.sendall(_plain(ident))
        return True

    def _reset(self, connection: socket.socket, ident: str, method: str, way: str = "reset") -> bool:
        self._note(ident, method, way, "connection")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False

    def _reset_late(self, connection: socket.socket, ident: str, method: str) -> bool:
        time.sleep(LATE_S)
        return self._reset(connection, ident, method, "reset late")

    def _silent(self, connection: socket.socket, ident: str, method: str, begun: bytes = b"") -> bool:
        self._note(ident, method, "silent", "timeout")
        connection.sendall(begun)
        connection.recv(1)
        return False

    def _half(self, connection: socket.socket, ident: str, method: str) -> bool:
        return self._silent(connection, ident, method, _plain(ident)[:-3])

    def _refused_early(self, connection: socket.socket, ident: str, method: str) -> bool:
        """Refuse and close with the rest of the request unread."""
        status = random.Random(ident).choice(sorted(REFUSALS))
        self._note(ident, method, "refused early", REFUSALS[status] or "server_error")
        connection.sendall(_answer(status, None, "Connection: close"))
        return False


def _read_head(connection: socket.socket) -> bytes:
    """Read byte by byte, because what follows belongs to the body."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        if not byte:
            return b""
        head += byte
    return head


def _length_of(head: bytes) -> int:
    lengths = [line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    return int(lengths[0]) if lengths else 0


def _read(connection: socket.socket, length: int) -> None:
    while length and (chunk := connection.recv(min(length, 65536))):
        length -= len(chunk)


@contextmanager
def answering_by(ways: Sequence[str], seed: int) -> Iterator[tuple[str, Mixture]]:
    """Serve a mixture of these ways; yields the base URL, and the mixture with its log."""
    mixture: Any = Mixture(ways, seed)
    with serving(mixture.script) as url:
        yield url, mixture
