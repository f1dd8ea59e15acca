"""A TCP proxy on loopback in front of one server, which applies a scenario's network faults to the traffic.

Each connection has two links, one per direction, in which bytes wait in order, subject to the faults active when they
arrive. Faults begin and end on open connections, too.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from loadproof.faults.link import Link

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadproof.scenario.faults import NetworkFault

_BACKLOG: Final = 4096
_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: closing sends RST. Source: socket(7)."""
_BIND_ADDRESS_NO_PORT: Final = 24
"""IP_BIND_ADDRESS_NO_PORT, which Python doesn't name before 3.12. Source: ip(7)."""


class FaultProxy:
    """Listens on a port of 127.0.0.1, and connects to the server from the address of its client."""

    def __init__(self, host: str, port: int) -> None:
        """`host` and `port` are the server's."""
        self._server_address = host, port
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self._faults: dict[int, NetworkFault] = {}
        self.random = random.Random()

    async def listen(self) -> int:
        """Start to listen; returns the port."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Near(self), "127.0.0.1", 0, backlog=_BACKLOG)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def begin(self, number: int, fault: NetworkFault) -> None:
        """Apply the fault, to open connections as well, until `end` with the same number."""
        self._faults[number] = fault
        for connection in tuple(self._connections):
            connection.begin(number, fault)

    def end(self, number: int) -> None:
        """End the fault; what it held back passes at once, unless another fault still delays the same link."""
        del self._faults[number]
        for connection in tuple(self._connections):
            connection.end(number)

    def accept(self, near: _Near) -> _Connection:
        """Connect to the server for this client; the current faults apply from the start."""
        connection = _Connection(self, near)
        self._connections.add(connection)
        for number, fault in self._faults.items():
            connection.begin(number, fault)
        connection.opening = asyncio.get_running_loop().create_task(self._open(connection))
        return connection

    async def _open(self, connection: _Connection) -> None:
        loop, near = asyncio.get_running_loop(), connection.near
        opened = _bound_socket(near.peer_host, self._server_address[0])
        try:
            await loop.sock_connect(opened, self._server_address)
            await loop.create_connection(lambda: _Far(connection), sock=opened)
        except OSError:
            # The server can't be reached.
            opened.close()
            near.reset()
        if near.transport.is_closing():
            connection.reset()

    def forget(self, connection: _Connection) -> None:
        self._connections.discard(connection)

    def close(self) -> None:
        """Stop listening, and reset all connections."""
        if self._server is not None:
            self._server.close()
        for connection in tuple(self._connections):
            if connection.opening is not None:
                connection.opening.cancel()
            connection.reset()


def _bound_socket(source: str, host: str) -> socket.socket:
    """A socket bound to the client's own address, if possible: a server on loopback tells clients apart by it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    opened.setblocking(False)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if family is socket.AF_INET and host.startswith("127.") and source.startswith("127."):
        with suppress(OSError):
            opened.setsockopt(socket.SOL_IP, _BIND_ADDRESS_NO_PORT, 1)
            opened.bind((source, 0))
    return opened


class _Connection:
    """A client's connection, the matching one to the server, and the two links between them."""

    def __init__(self, proxy: FaultProxy, near: _Near) -> None:
        self.proxy = proxy
        self.near = near
        self.far: _Far | None = None
        self.opening: asyncio.Task[None] | None = None
        """Referenced here, because the event loop only keeps a weak reference."""
        self.upstream = Link(self, proxy.random)
        self.downstream = Link(self, proxy.random)

    def begin(self, number: int, fault: NetworkFault) -> None:
        if self.proxy.random.random() < fault.toxicity:
            (self.upstream if fault.stream == "upstream" else self.downstream).begin(number, fault)

    def end(self, number: int) -> None:
        for link in (self.upstream, self.downstream):
            link.end(number)

    def close_if_over(self) -> None:
        """Close if both sides have ended their streams."""
        if self.upstream.has_ended and self.downstream.has_ended:
            self.close()

    def lose(self, other: _Side | None, error: Exception | None) -> None:
        """One side is gone: end the other one in the same way, with a close or a reset."""
        if other is None:
            return
        if error is None:
            other.transport.close()
        else:
            other.reset()

    def close(self) -> None:
        for side in self._sides():
            side.transport.close()

    def reset(self) -> None:
        for side in self._sides():
            side.reset()

    def _sides(self) -> Iterator[_Side]:
        yield self.near
        if self.far is not None:
            yield self.far


class _Side(asyncio.Protocol):
    """One side of a connection: the client's or the server's."""

    transport: asyncio.Transport
    out: Link
    """Takes the bytes that this side's peer sends."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - TCP's are
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.out.send(data)

    def eof_received(self) -> bool:
        self.out.send_end()
        return True

    def pause_writing(self) -> None:
        """The peer reads too slowly: stop reading from the other side."""
        if (sender := self.sender) is not None:
            sender.out.pause()

    def resume_writing(self) -> None:
        if (sender := self.sender) is not None:
            sender.out.resume()

    @property
    def sender(self) -> _Side | None:
        raise NotImplementedError

    def reset(self) -> None:
        opened = self.transport.get_extra_info("socket")
        with suppress(OSError):
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()


class _Near(_Side):
    """The client's side."""

    def __init__(self, proxy: FaultProxy) -> None:
        self._proxy = proxy

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.peer_host: str = transport.get_extra_info("peername")[0]
        self.connection = self._proxy.accept(self)
        self.out = self.connection.upstream
        self.out.source = self.transport
        self.connection.downstream.sink = self.transport

    @property
    def sender(self) -> _Side | None:
        return self.connection.far

    def connection_lost(self, exc: Exception | None) -> None:
        self._proxy.forget(self.connection)
        self.connection.lose(self.connection.far, exc)


class _Far(_Side):
    """The server's side."""

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._connection.far = self
        self.out = self._connection.downstream
        self.out.source = self.transport
        self._connection.upstream.sink = self.transport
        self._connection.upstream.flush()

    @property
    def sender(self) -> _Side | None:
        return self._connection.near

    def connection_lost(self, exc: Exception | None) -> None:
        self._connection.lose(self._connection.near, exc)
