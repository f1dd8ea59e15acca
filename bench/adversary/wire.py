"""A server whose behaviour is a script of a few lines: it gets a request and decides how to answer, or not."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class Request:
    """A request as it was read; `at_s` is measured from the first request of the load, and negative before it."""

    number: int
    of_connection: int
    at_s: float
    method: str
    path: str
    headers: list[tuple[str, str]]
    peer: str
    body: bytes = b""

    def header(self, name: str) -> str:
        """The value of a header, by its name in lower case; '' if there is none."""
        return next((value for one, value in self.headers if one == name), "")


@dataclass
class Wire:
    """One connection, from the server's point of view."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    closed: bool = False

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def close(self) -> None:
        self.closed = True
        self.writer.close()

    def reset(self) -> None:
        """Close abruptly: the client's kernel reports a reset."""
        self.closed = True
        # Linger 0: the kernel discards unsent data and sends RST.
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Script = Callable[[Request, Wire], Awaitable[None]]
"""Handles one request; it may leave it unanswered."""


@dataclass
class Server:
    """A listening server; `seen` has all requests in the order in which they were read."""

    script: Script
    host: str = "127.0.0.1"
    reads_bodies: bool = True
    idle_s: float | None = None
    """Close a connection after this long without a request."""
    farewell: bytes = b""
    """Sent before closing an idle connection."""
    seen: list[Request] = field(default_factory=list)
    began_s: float | None = None
    probed: bool = False
    port: int = 0
    _listener: asyncio.Server | None = None
    _loop: asyncio.AbstractEventLoop | None = None
    _wires: set[Wire] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def load(self) -> list[Request]:
        """Requests of the load, without the probe's and the sampler's."""
        return [request for request in self.seen if request.at_s >= 0]

    async def listen(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._listener = await asyncio.start_server(self._talk, self.host, self.port, backlog=1000)
        self.port = self._listener.sockets[0].getsockname()[1]

    def die(self) -> None:
        """Stop listening and reset all connections; callable from any thread."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._end)

    def stand(self, seconds: float) -> None:
        """Read and write nothing for this long."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(time.sleep, seconds)

    def _end(self) -> None:
        assert self._listener is not None
        self._listener.close()
        for wire in list(self._wires):
            wire.reset()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire, count = Wire(reader, writer), 0
        # Wires are hashed by identity, and scripts may use them as keys, too.
        self._wires.add(wire)
        over = (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError)
        with suppress(*over):
            while not wire.closed and (request := await self._read(reader, writer, count)):
                count += 1
                await self.script(request, wire)
        self._wires.discard(wire)
        with suppress(OSError):
            writer.close()

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: int) -> Request | None:
        try:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), self.idle_s)
        except TimeoutError:
            writer.write(self.farewell)
            raise
        line, *fields = head.decode("latin-1").strip().split("\r\n")
        method, path, _ = line.split(" ", 2)
        headers = [(name.lower(), value.strip()) for name, _, value in (one.partition(":") for one in fields)]
        peer = writer.get_extra_info("peername")[0]
        request = Request(len(self.seen), count, self._at_s(path), method, path, headers, peer)
        self.seen.append(request)
        if self.reads_bodies and (length := request.header("content-length")):
            request.body = await reader.readexactly(int(length))
        return request

    def begin_anew(self) -> None:
        """Call before each run, which begins with its probe."""
        self.began_s, self.probed = None, False

    def _at_s(self, path: str) -> float:
        """Seconds since the load began: with the first request that was sent by neither the probe nor the sampler."""
        if path.endswith("/metrics"):
            return -1.0
        if not self.probed and path.endswith("/health"):
            self.probed = True
            return -1.0
        self.began_s = self.began_s or time.monotonic()
        return time.monotonic() - self.began_s


Wire.__hash__ = object.__hash__  # type: ignore[method-assign]


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    """Run the server in a thread with its own event loop."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(server.listen(), loop).result(10)
    try:
        yield server
    finally:
        server.die()
        asyncio.run_coroutine_threadsafe(_quiet(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _quiet() -> None:
    """Cancel all tasks that still run."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
