"""A server refuses a request before it has read it: its answer counts, not what became of the rest."""

from __future__ import annotations

import socket
import threading
from collections import Counter

import pytest

from loadproof.http.messages import Request, Timing, TransportError
from tests.loadproof.http.connections import OK, connection_to, get
from tests.loadproof.http.tls import tls_serving
from tests.servers import Script, answering, serving

UPLOAD = Request("POST", "/", body=b"x" * 8_000_000)
"""Larger than the buffers of both systems."""
TIMES = 20


def read_head(connection: socket.socket) -> None:
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(1000)


def refusing(status: int) -> Script:
    """As servers do it: answer, then close the connection with the rest of the request unread."""

    def script(connection: socket.socket, _: int) -> None:
        # The answer must not wait for the acknowledgement of TLS session tickets: closing would discard it.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        read_head(connection)
        head = b"HTTP/1.1 %d Refused\r\nRetry-After: 3\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno"
        connection.sendall(head % status)

    return script


def outcomes(url: str) -> Counter[object]:
    """The outcomes of uploads one after another, each on a new connection."""
    found: Counter[object] = Counter()
    for _ in range(TIMES):
        try:
            answer = get(url, UPLOAD)
            found[answer.status, answer.headers.get("retry-after"), answer.body] += 1
        except TransportError as error:
            found[str(error)] += 1
    return found


@pytest.mark.slow
@pytest.mark.parametrize("status", [413, 429, 503])
def test_a_server_that_refuses_early_and_closes_is_heard(status):
    """Every time, with headers and body; taking a 429 for a failed connection would make the verdict wrong."""
    with serving(refusing(status)) as url:
        assert outcomes(url) == {(status, "3", b"no"): TIMES}


@pytest.mark.slow
def test_an_early_refusal_over_tls_is_heard_too(certificate):
    """The same, encrypted."""
    with tls_serving(certificate, refusing(413)) as url:
        assert outcomes(url) == {(413, "3", b"no"): TIMES}


def test_a_server_that_refuses_early_and_waits_is_heard():
    """It closes only when we do (nginx's lingering close); the rest of the upload is not taken for another request."""
    over = threading.Event()

    def script(connection: socket.socket, number: int) -> None:
        if number:
            answering(OK)(connection, number)
            return
        read_head(connection)
        connection.sendall(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")
        over.wait(20)

    with serving(script) as url:
        connection, again = connection_to(url), Timing()
        assert connection.exchange(UPLOAD, Timing()).status == 413
        assert connection.exchange(Request("GET", "/"), again).body == b"hi"
        over.set()
    assert again.connect_s > 0


@pytest.mark.parametrize("status", [413, 429, 503])
def test_a_small_request_that_is_refused_unread_is_heard(status):
    """All of it has been sent by then: nothing is written to the closed connection."""
    with serving(refusing(status)) as url:
        assert get(url, Request("POST", "/", body=b"x" * 20_000)).status == status
