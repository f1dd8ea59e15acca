"""TLS: verified, resumed, and never cut off unnoticed."""

from __future__ import annotations

import socket
import ssl

import pytest

from loadproof.http.messages import ConnectionFailedError, Request, Timing
from loadproof.http.tls import context_for
from tests.loadproof.http.connections import CLOSING, OK, connection_to, get
from tests.loadproof.http.tls import tls_serving
from tests.servers import answering, read_request, serving


def test_tls_is_verified(certificate, monkeypatch):
    """Against the authorities that we trust, and the name that we asked for."""
    with tls_serving(certificate, answering(OK)) as url:
        assert get(url).body == b"hi"
        with pytest.raises(ConnectionFailedError, match="TLS"):
            get(url.replace("localhost", "127.0.0.1"))
        monkeypatch.delenv("SSL_CERT_FILE")
        context_for.cache_clear()
        with pytest.raises(ConnectionFailedError, match="TLS: CERTIFICATE_VERIFY_FAILED"):
            get(url)


def test_tls_works_as_plain_connections_do(certificate):
    """Kept alive, in pieces, with large bodies in both directions."""
    large = b"x" * 1_000_000
    received = []

    def script(connection: socket.socket, _: int) -> None:
        for _ in range(2):
            received.append(read_request(connection))
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(large))
            connection.sendall(large)

    with tls_serving(certificate, script) as url:
        connection = connection_to(url)
        for _ in range(2):
            assert connection.exchange(Request("POST", "/", body=large), Timing()).body == large
    assert all(request.endswith(large) for request in received)


def test_tls_sessions_are_resumed(certificate):
    """The second handshake is a short one."""
    with tls_serving(certificate, answering(CLOSING, CLOSING)) as url:
        connection = connection_to(url)
        connection.exchange(Request("GET", "/"), Timing())
        connection.exchange(Request("GET", "/"), Timing())
        assert connection.tls_was_resumed


def test_a_body_that_ends_without_tls_saying_so_is_cut_off(certificate):
    """Somebody in between may have cut it (RFC 9112, section 9.8)."""

    def script(connection: ssl.SSLSocket, _: int) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\nto the")
        socket.socket.shutdown(connection, socket.SHUT_RDWR)

    with tls_serving(certificate, script) as url, pytest.raises(ConnectionFailedError, match="cut off"):
        get(url)


def test_no_tls_where_tls_is_spoken():
    """A plain server, asked for TLS."""

    def script(connection: socket.socket, _: int) -> None:
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with serving(script) as url, pytest.raises(ConnectionFailedError, match="TLS"):
        get(url.replace("http://127.0.0.1", "https://localhost"))
