"""TLS is verified and resumed, and a truncated answer never goes unnoticed."""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from pathlib import Path

import gevent
import pytest

from loadproof.http.blocking import BlockingConnection
from loadproof.http.connection import Connection
from loadproof.http.messages import ConnectionFailedError, Request, Timing
from loadproof.http.origin import Origin
from loadproof.http.tls import Tls, Trust, context_for
from tests.loadproof.http.connections import CLOSING, OK, PATIENT, connection_to, get, made
from tests.loadproof.http.tls import server_context, tls_serving
from tests.servers import Script, answering, read_request, serving


def test_tls_is_verified(certificate, monkeypatch):
    """Against the authorities that we trust, and the name that we asked for (SNI)."""
    with tls_serving(certificate, answering(OK)) as url:
        assert get(url).body == b"hi"
        with pytest.raises(ConnectionFailedError, match="TLS"):
            get(url.replace("localhost", "127.0.0.1"))
        monkeypatch.delenv("SSL_CERT_FILE")
        context_for.cache_clear()
        with pytest.raises(ConnectionFailedError, match="TLS: CERTIFICATE_VERIFY_FAILED"):
            get(url)


def test_tls_connections_work_like_plain_ones(certificate):
    """Kept alive, and with large bodies in both directions."""
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
    """The second handshake is abbreviated."""
    with tls_serving(certificate, answering(CLOSING, CLOSING)) as url:
        connection = connection_to(url)
        connection.exchange(Request("GET", "/"), Timing())
        connection.exchange(Request("GET", "/"), Timing())
        assert connection.tls_was_resumed


def test_a_body_that_ends_without_tls_close_is_cut_off(certificate):
    """Somebody in between may have truncated it (RFC 9112, section 9.8)."""

    def script(connection: ssl.SSLSocket, _: int) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\nto the")
        socket.socket.shutdown(connection, socket.SHUT_RDWR)

    with tls_serving(certificate, script) as url, pytest.raises(ConnectionFailedError, match="cut off"):
        get(url)


def test_a_plain_server_asked_for_tls_is_a_failed_connection():
    """A plain server, asked for TLS."""

    def script(connection: socket.socket, _: int) -> None:
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with serving(script) as url, pytest.raises(ConnectionFailedError, match="TLS"):
        get(url.replace("http://127.0.0.1", "https://localhost"))


def leaving(announced: bool) -> Script:
    """Answers once per connection and closes it, with or without announcing that in TLS."""

    def script(connection: ssl.SSLSocket, _: int) -> None:
        read_request(connection)
        connection.sendall(OK)
        if announced:
            connection.unwrap()

    return script


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize("kind", [Connection, BlockingConnection])
def test_a_closed_kept_connection_is_noticed_before_anything_is_sent(certificate, kind, announced):
    """The next request goes to a new one, and is sent once: a POST must not be repeated."""
    with tls_serving(certificate, leaving(announced)) as url:
        made.append(kind(Origin.of(url), PATIENT))
        connection = made[-1]
        for _ in range(2):
            timing = Timing()
            assert connection.exchange(Request("POST", "/"), timing).body == b"hi"
            assert (timing.connect_s > 0, timing.is_repeated, timing.has_surplus) == (True, False, False)
            wait_for_end(connection)


def wait_for_end(connection: Connection | BlockingConnection) -> None:
    if isinstance(connection, BlockingConnection):
        assert not connection.is_kept(within_s=5)
        return
    with gevent.Timeout(5):
        while connection.is_open:
            gevent.sleep(0.005)


class Peer:
    """A TLS server in memory, without a socket."""

    def __init__(self, certificate: Path) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = server_context(certificate).wrap_bio(self._incoming, self._outgoing, server_side=True)

    def sendall(self, content: bytes) -> None:
        self._incoming.write(content)
        with suppress(ssl.SSLWantReadError):
            self._tls.do_handshake()

    def recv(self, _: int) -> bytes:
        return self._outgoing.read()

    def last_words(self, *contents: bytes) -> bytes:
        """A record for each content, and the end of the connection."""
        for content in contents:
            self._tls.write(content)
        with suppress(ssl.SSLWantReadError):
            self._tls.unwrap()
        return self._outgoing.read()


@pytest.mark.parametrize("size", [1, 700, 20_000, 100_000])
def test_records_may_arrive_in_any_pieces(certificate, size):
    """Several records at once followed by the end, or each in many pieces."""
    contents = [b"a", b"b" * 16_384, b"c" * 3000]
    peer, client = Peer(certificate), Tls("localhost", Trust(f"{certificate}.crt"), None)
    client.shake_hands(peer)
    received = peer.last_words(*contents)
    decrypted = [client.decrypt(received[at : at + size]) for at in range(0, len(received), size)]
    assert b"".join(content for content, _ in decrypted) == b"".join(contents)
    assert [is_end for _, is_end in decrypted] == [*([False] * (len(decrypted) - 1)), True]
