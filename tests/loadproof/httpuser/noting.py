"""A server that keeps the bytes of each request, and answers by path."""

from __future__ import annotations

import gzip
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from tests.servers import serving


def answer(body: bytes = b"", *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


JSON = "Content-Type: application/json"
ANSWERS = {
    "/": answer(b"<h1>hello</h1>", "Content-Type: text/html"),
    "/json": answer(b'{"a": [1, 2.5, null, "\xc3\xa4"]}', JSON),
    "/broken-json": answer(b'{"a": ', JSON),
    "/latin": answer(b"gr\xfc\xdfe", "Content-Type: text/plain; charset=iso-8859-1"),
    "/bytes": answer(bytes(range(256))),
    "/lines": answer(b"one\ntwo\nthree", "Content-Type: text/plain"),
    "/gzip": answer(gzip.compress(b'{"packed": true}', mtime=0), "Content-Encoding: gzip", JSON),
    "/no-gzip": answer(b"plain", "Content-Encoding: gzip"),
    "/chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
    "/nothing": b"HTTP/1.1 204 No Content\r\n\r\n",
    "/headers": answer(b"", "X-One: 1", "X-ONE: 2", 'Link: <http://127.0.0.1/2>; rel="next"', "ETag: W/1"),
    "/created": answer(b"new", status="201 Created"),
    "/unauthorized": answer(b"who?", 'WWW-Authenticate: Basic realm="x"', status="401 Unauthorized"),
    "/missing": answer(b"gone", status="404 Not Found"),
    "/teapot": answer(b"", status="418 I'm a teapot"),
    "/error": answer(b"sorry", status="500 Internal Server Error"),
    "/odd": answer(b"", status="299 "),
    "/login": answer(b"in", "Set-Cookie: session=s1; Path=/; HttpOnly", "Set-Cookie: theme=dark; Path=/json"),
    "/expiring": answer(b"in", "Set-Cookie: short=1; Expires=Wed, 09 Jun 2100 10:18:14 GMT; Path=/"),
    "/logout": answer(b"out", "Set-Cookie: session=; Max-Age=0; Path=/"),
    "/302": answer(b"", "Location: /json", status="302 Found"),
    "/301": answer(b"", "Location: /json", status="301 Moved Permanently"),
    "/303": answer(b"", "Location: /json", status="303 See Other"),
    "/307": answer(b"", "Location: /json", status="307 Temporary Redirect"),
    "/twice": answer(b"", "Location: 302?second=1", "Set-Cookie: hop=1", status="302 Found"),
    "/around": answer(b"", "Location: /around", status="302 Found"),
    "/302/nowhere": answer(b"", "Location: http://127.0.0.1:1/x", status="302 Found"),
    "/302/mail": answer(b"", "Location: mailto:a@b", status="302 Found"),
    "/304": b"HTTP/1.1 304 Not Modified\r\nETag: W/1\r\n\r\n",
    "/closing": answer(b"bye", "Connection: close"),
    "/short": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
    "/garbage": b"SSH-2.0-OpenSSH\r\n\r\n",
    "/empty": b"",
}
LAST = {"/closing", "/short", "/garbage", "/empty", "/reset"}
"""After these, the server closes the connection."""
_DIGEST = 'WWW-Authenticate: Digest realm="r", nonce="n", qop="auth", algorithm=MD5'
_RESET = struct.pack("ii", 1, 0)


class Noted(NamedTuple):
    """The server's URL, and the requests it has received."""

    url: str
    requests: list[bytes]
    """As received, from the request line to the last byte of the body."""


@contextmanager
def noting() -> Iterator[Noted]:
    requests: list[bytes] = []

    def script(connection: socket.socket, _: int) -> None:
        unread = b""
        while True:
            request, unread = _read(connection, unread)
            if not request:
                return
            requests.append(request)
            path = request.split(b" ", 2)[1].partition(b"?")[0].decode()
            _reply(connection, request, path)
            if path in LAST:
                return

    with serving(script) as url:
        noted = Noted(url, requests)
        ANSWERS["/302/elsewhere"] = answer(
            b"", f"Location: {url.replace('127.0.0.1', 'localhost')}/json", status="302 Found"
        )
        yield noted


def _reply(connection: socket.socket, request: bytes, path: str) -> None:
    if path == "/slow":
        time.sleep(0.25)
    if path == "/drip":
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n")
        for _ in range(8):
            time.sleep(0.25)
            connection.sendall(b".")
        return
    if path == "/reset":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        return
    if path == "/digest":
        is_known = b"Authorization: Digest" in request
        reply = answer(b"welcome") if is_known else answer(b"", _DIGEST, status="401 Unauthorized")
    elif path == "/echo":
        reply = answer(request.partition(b"\r\n\r\n")[2])
    else:
        reply = ANSWERS.get(path, ANSWERS["/"])
    if request.startswith(b"HEAD "):
        reply = reply.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    connection.sendall(reply)


def _read(connection: socket.socket, unread: bytes) -> tuple[bytes, bytes]:
    """Read one request; returns it, and the bytes after it."""
    while b"\r\n\r\n" not in unread:
        received = connection.recv(65536)
        if not received:
            return b"", b""
        unread += received
    head, _, body = unread.partition(b"\r\n\r\n")
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    is_chunked = b"chunked" in fields.get(b"transfer-encoding", b"")
    length = int(fields.get(b"content-length", 0))
    while (not body.endswith(b"0\r\n\r\n")) if is_chunked else len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + (body if is_chunked else body[:length]), b"" if is_chunked else body[length:]
