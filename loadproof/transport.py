"""A client's HTTP/1.1 connection: one request to its answer, or to the timeout or failure it ended in.

The one seam to the network. It owns the socket, so that the source address, the moment of the first byte
and the time that connecting took are known; parsing is geventhttpclient's (llhttp).
"""

from __future__ import annotations

import functools
import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import gevent
from gevent import socket, ssl
from geventhttpclient.response import HTTPConnectionClosed, HTTPParseError, HTTPSocketResponse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_BODY_BYTES: Final = 10_000_000
_BLOCK_BYTES: Final = 16_384
_IP_BIND_ADDRESS_NO_PORT: Final = 24
"""Linux: bind the address now and let connect choose the port, or 28,000 ports would serve all clients.

Source: ip(7); the constant is missing from Python's socket module before 3.12.
"""


class TransportError(Exception):
    """The request got no whole answer."""


class RequestTimeoutError(TransportError):
    pass


class ConnectionFailedError(TransportError):
    """Refused, reset, closed too early, or not HTTP."""


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    """Path and query, percent-encoded, below the target's base URL."""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    repeatable: bool = True
    """May be sent again when a kept-alive connection turns out to be closed and nothing was received."""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes

    @functools.cached_property
    def json(self) -> Any:
        """The body as JSON; ValueError when it isn't."""
        return json.loads(self.body)


@dataclass
class Timing:
    """When one request was sent and how long connecting took; monotonic seconds."""

    sent_s: float = 0.0
    connect_s: float = 0.0


@dataclass(frozen=True)
class Origin:
    """Where requests go, from a base URL like http://127.0.0.1:8000/api."""

    host: str
    port: int
    tls: bool
    base_path: str

    @classmethod
    def of(cls, base_url: str) -> Origin:
        url = urlsplit(base_url)
        tls = url.scheme == "https"
        return cls(url.hostname or "", url.port or (443 if tls else 80), tls, url.path.rstrip("/"))

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"


class Connection:
    """One kept-alive connection of one client; one request at a time."""

    def __init__(
        self,
        origin: Origin,
        *,
        connect_timeout_s: float,
        total_timeout_s: float,
        source_address: str | None = None,
    ) -> None:
        self._origin = origin
        self._connect_timeout_s = connect_timeout_s
        self._total_timeout_s = total_timeout_s
        self._source_address = source_address
        self._socket: socket.socket | None = None

    def exchange(self, request: Request, timing: Timing) -> Answer:
        """Send and read the whole answer; TransportError when there is none in time."""
        packet = self._packet(request)
        timer = gevent.Timeout(self._total_timeout_s)
        timer.start()
        try:
            return self._exchange(packet, request, timing)
        except gevent.Timeout as fired:
            self.close()
            if fired is not timer:
                raise
            raise RequestTimeoutError(f"no whole answer within {self._total_timeout_s:g} s") from None
        except (OSError, HTTPParseError, ValueError) as error:
            self.close()
            raise ConnectionFailedError(_reason(error)) from error
        except BaseException:
            # Cut off by a stop: what is left of the answer must not meet the next request.
            self.close()
            raise
        finally:
            timer.close()

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _exchange(self, packet: bytes, request: Request, timing: Timing) -> Answer:
        kept_alive = self._socket is not None
        try:
            return self._send_and_read(packet, request, timing)
        except (HTTPConnectionClosed, ConnectionError):
            # The server may close an idle connection just as we send: nothing was received, so send again.
            if not (kept_alive and request.repeatable):
                raise
            self.close()
            return self._send_and_read(packet, request, timing)

    def _send_and_read(self, packet: bytes, request: Request, timing: Timing) -> Answer:
        if self._socket is None:
            began_s = time.monotonic()
            timing.sent_s = began_s
            self._socket = self._connect()
            timing.connect_s = time.monotonic() - began_s
        timing.sent_s = time.monotonic()
        self._socket.sendall(packet)
        response = HTTPSocketResponse(self._socket, block_size=_BLOCK_BYTES, method=request.method)
        body = bytearray()
        for block in response:
            body += block
            if len(body) > MAX_BODY_BYTES:
                raise ConnectionFailedError(f"a body of more than {MAX_BODY_BYTES} bytes")
        if response.should_close():
            self.close()
        headers = {name.lower(): str(value) for name, value in response.items()}
        return Answer(status=response.status_code, headers=headers, body=bytes(body))

    def _connect(self) -> socket.socket:
        try:
            with gevent.Timeout(self._connect_timeout_s, RequestTimeoutError("connecting took too long")):
                family, kind, protocol, _, address = socket.getaddrinfo(
                    self._origin.host, self._origin.port, type=socket.SOCK_STREAM
                )[0]
                connection = socket.socket(family, kind, protocol)
                try:
                    self._bind(connection)
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    connection.connect(address)
                    return self._wrapped(connection)
                except BaseException:
                    connection.close()
                    raise
        except ssl.SSLError as error:
            raise ConnectionFailedError(f"TLS: {error.reason or error}") from error

    def _bind(self, connection: socket.socket) -> None:
        if self._source_address is not None:
            connection.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
            connection.bind((self._source_address, 0))

    def _wrapped(self, connection: socket.socket) -> socket.socket:
        if not self._origin.tls:
            return connection
        return _tls_context().wrap_socket(connection, server_hostname=self._origin.host)

    def _packet(self, request: Request) -> bytes:
        headers = {"Host": self._origin.authority, **request.headers}
        if request.body or request.method in {"POST", "PUT", "PATCH"}:
            headers["Content-Length"] = str(len(request.body))
        lines = [f"{request.method} {self._origin.base_path}{request.path} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + request.body


class ClientConnections:
    """The connections of one client: as many as it has requests in flight, each used again when free."""

    def __init__(self, make: Callable[[], Connection]) -> None:
        self._make = make
        self._free: list[Connection] = []

    def exchange(self, request: Request, timing: Timing) -> Answer:
        """As Connection.exchange, on a free connection or on a new one."""
        connection = self._free.pop() if self._free else self._make()
        try:
            return connection.exchange(request, timing)
        finally:
            self._free.append(connection)


@functools.cache
def _tls_context() -> ssl.SSLContext:
    return ssl.create_default_context()


def _reason(error: Exception) -> str:
    if isinstance(error, HTTPConnectionClosed):
        return "closed without an answer"
    if isinstance(error, HTTPParseError):
        return f"not HTTP: {error}"
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
