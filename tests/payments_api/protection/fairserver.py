"""A real server in a thread whose event loop tests can stop, so that everything sent meanwhile is read in one pass."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from payments_api.protection.fairness import FairProtocol, FairShare, fair

FLOODER = "127.66.0.1"
NEIGHBOUR = "127.66.0.2"
_LONGEST_S = 30


class FairServer:
    def __init__(self, share: FairShare, *, loop: str = "uvloop") -> None:
        self.share = share
        self.served: list[tuple[str, str]] = []
        """Address and path of each request, in the order in which they reached the app."""
        self.note: Callable[[], Any] = lambda: None
        self.noted: list[Any] = []
        """What `note` returned at each of these requests."""
        self.errors: list[Any] = []
        """Contexts of exceptions that nobody in the event loop caught."""
        self._entered, self._goes_on = threading.Event(), threading.Event()
        config = uvicorn.Config(
            self._app,
            http=fair(share),
            ws="websockets-sansio",
            loop=loop,
            lifespan="off",
            interface="asgi3",
            proxy_headers=False,
            log_level="error",
        )
        self._server = uvicorn.Server(config)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._listener.getsockname()[1]
        self.thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._listener]}, daemon=True)
        self.loop: asyncio.AbstractEventLoop

    def connect(self, address: str = FLOODER) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=_LONGEST_S, source_address=(address, 0))

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Stop the event loop while this is open."""
        with self.connect("127.66.0.9") as connection:
            self._entered.clear()
            self._goes_on.clear()
            ask(connection, "/stop")
            assert self._entered.wait(_LONGEST_S)
            self.served.clear()
            try:
                yield
            finally:
                self._goes_on.set()
            assert answer(connection) == b"/stop"

    def protocols(self) -> list[FairProtocol]:
        return [held for held in self._server.server_state.connections if isinstance(held, FairProtocol)]

    def in_loop(self, call: Callable[[], Any]) -> Any:
        """The result of `call`, run in the event loop between two passes."""

        async def calling() -> Any:
            return call()

        return asyncio.run_coroutine_threadsafe(calling(), self.loop).result(_LONGEST_S)

    def until(self, is_so: Callable[[], Any]) -> None:
        """Wait until `is_so()` is true, checking once per pass."""

        async def looking() -> bool:
            for _ in range(200_000):
                if is_so():
                    return True
                await asyncio.sleep(0)
            return False

        assert asyncio.run_coroutine_threadsafe(looking(), self.loop).result(60)

    def stop(self) -> None:
        self._server.should_exit = True

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        self.loop = asyncio.get_running_loop()
        self.loop.set_exception_handler(lambda _, what: self.errors.append(what))
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.send", "text": (await receive())["text"]})
            return
        if scope["path"] == "/stop":
            self._entered.set()
            self._goes_on.wait(_LONGEST_S)
        self.noted.append(self.note())
        self.served.append((scope["client"][0], scope["path"]))
        body = await _said(receive) if scope["method"] == "POST" else scope["path"].encode()
        length = (b"content-length", b"%d" % len(body))
        await send({"type": "http.response.start", "status": 200, "headers": [length]})
        await send({"type": "http.response.body", "body": body})


async def _said(receive: Any) -> bytes:
    digest = hashlib.sha256()
    while True:
        message = await receive()
        digest.update(message.get("body", b""))
        if not message.get("more_body"):
            return digest.hexdigest().encode()


@contextmanager
def serving_fairly(share: FairShare, *, loop: str = "uvloop") -> Iterator[FairServer]:
    server = FairServer(share, loop=loop)
    server.thread.start()
    try:
        with server.stopped():
            pass
        server.served.clear()
        yield server
    finally:
        server.stop()
        server.thread.join(_LONGEST_S)
        server._listener.close()
        assert not server.thread.is_alive()
        assert server.errors == []


def ask(connection: socket.socket, *paths: str, header: str = "host: t") -> None:
    """Send requests for these paths in one write."""
    connection.sendall("".join(f"GET {path} HTTP/1.1\r\n{header}\r\n\r\n" for path in paths).encode())


def answer(connection: socket.socket) -> bytes:
    """The body of the next answer."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        assert byte, f"closed after {head!r}"
        head += byte
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    body = b""
    while len(body) < length:
        body += connection.recv(length - len(body))
    return body
