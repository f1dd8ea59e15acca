"""A small HTTP proxy: forwards absolute-form requests, and opens tunnels."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from urllib.parse import urlsplit

from tests.servers import read_request

UNAUTHORIZED = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"


class Proxy:
    """A script to be served; keeps the heads that it was sent, and its own header from the target."""

    def __init__(self, authorization: str | None = None) -> None:
        self.heads: list[str] = []
        self._authorization = authorization

    def script(self, connection: socket.socket, _: int) -> None:
        while request := read_request(connection):
            head, _, body = request.partition(b"\r\n\r\n")
            lines = head.decode().split("\r\n")
            self.heads.append(head.decode())
            sent = next((line for line in lines if line.startswith("Proxy-Authorization: ")), None)
            if self._authorization is not None and sent != f"Proxy-Authorization: {self._authorization}":
                connection.sendall(UNAUTHORIZED)
                continue
            method, target, _ = lines[0].split()
            if method == "CONNECT":
                self._tunnel(connection, target)
                return
            url = urlsplit(target)
            kept = [f"{method} {url.path} HTTP/1.1", *(line for line in lines[1:] if line != sent)]
            with socket.create_connection((url.hostname, url.port)) as onward:
                onward.sendall("\r\n".join(kept).encode() + b"\r\n\r\n" + body)
                connection.sendall(onward.recv(65536))

    def _tunnel(self, connection: socket.socket, authority: str) -> None:
        host, _, port = authority.rpartition(":")
        with socket.create_connection((host, int(port))) as onward:
            connection.sendall(b"HTTP/1.1 200 Connection established\r\nX-Proxy: yes\r\n\r\n")
            back = threading.Thread(target=_pump, args=(onward, connection), daemon=True)
            back.start()
            _pump(connection, onward)
            back.join(10)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while content := source.recv(65536):
            sink.sendall(content)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
