"""Real servers that misbehave as told, one raw socket script per connection."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Script = Callable[[socket.socket, int], None]
"""Handles one connection; the number counts connections from 0."""


def read_request(connection: socket.socket) -> bytes:
    """Read up to the end of the headers, and the body that they announce."""
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = connection.recv(65536)
        if not chunk:
            return data
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")), 0
    )
    # Appending to bytes would copy a body of megabytes with each piece.
    pieces, missing = [body], length - len(body)
    while missing > 0 and (chunk := connection.recv(65536)):
        pieces.append(chunk)
        missing -= len(chunk)
    return head + b"\r\n\r\n" + b"".join(pieces)


def answering(*answers: bytes, then_close: bool = True) -> Script:
    """A script that answers each request of a connection with the next of these."""

    def script(connection: socket.socket, _: int) -> None:
        for answer in answers:
            if not read_request(connection):
                return
            connection.sendall(answer)
        if not then_close:
            connection.recv(1)

    return script


class Heard:
    """A healthy service that notes its requests and where they came from."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, bytes]] = []
        self._lock = threading.Lock()

    def script(self, connection: socket.socket, _: int) -> None:
        while request := read_request(connection):
            with self._lock:
                self.requests.append((connection.getpeername()[0], request))
            body = b'{"status":"ok"}' if request.startswith(b"GET /health ") else b"process_open_fds 5\n"
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    def addresses(self, path: bytes) -> set[str]:
        return {address for address, request in self.requests if request.startswith(b"GET " + path)}

    def heads(self) -> set[bytes]:
        """The heads of all requests, without their first lines."""
        return {request.partition(b"\r\n")[2].lower() for _, request in self.requests}


@contextmanager
def serving(script: Script, host: str = "127.0.0.1") -> Iterator[str]:
    """Serve this script in a thread; yields the base URL."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, 0), family=family, backlog=1000)
    listener.settimeout(0.02)
    stopping = threading.Event()
    connections: set[socket.socket] = set()

    def handle(connection: socket.socket, number: int) -> None:
        with connection, suppress(OSError):
            script(connection, number)
        connections.discard(connection)

    def accept() -> None:
        number = 0
        while not stopping.is_set():
            with suppress(TimeoutError):
                connection, _ = listener.accept()
                connection.settimeout(10)
                connections.add(connection)
                threading.Thread(target=handle, args=(connection, number), daemon=True).start()
                number += 1

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        name = f"[{host}]" if ":" in host else host
        yield f"http://{name}:{listener.getsockname()[1]}"
    finally:
        stopping.set()
        thread.join(5)
        for connection in list(connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        listener.close()


@contextmanager
def webhook(answer: bytes = b"HTTP/1.1 204 No Content\r\n\r\n"):
    """A webhook's URL, and the bodies that it received."""
    bodies: list[bytes] = []

    def script(connection: socket.socket, _: int) -> None:
        bodies.append(read_request(connection).partition(b"\r\n\r\n")[2])
        connection.sendall(answer)

    with serving(script) as url:
        yield f"{url}/hooks/secret-path", bodies
