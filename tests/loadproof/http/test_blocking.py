"""The connection without an event loop sends, reads and fails as the load's connections do."""

from __future__ import annotations

import socket
import time

import pytest

from loadproof.http.blocking import BlockingConnection
from loadproof.http.connection import Connection
from loadproof.http.messages import (
    ConnectionFailedError,
    Request,
    RequestTimeoutError,
    RequestTimeouts,
    Timing,
    TransportError,
)
from loadproof.http.origin import Origin
from tests.loadproof.http.connections import CLOSING, OK, PATIENT
from tests.loadproof.http.tls import tls_serving
from tests.servers import Script, answering, read_request, serving

REQUEST = Request("POST", "/pay?a=b%20c", headers={"host": "pay.example.test", "Accept-Encoding": "gzip"}, body=b"{}")
ANSWERS = {
    "sized": OK,
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    "until the end": b"HTTP/1.1 200 OK\r\n\r\nhi",
    "interim": b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK,
    "without a body": b"HTTP/1.1 204 No Content\r\n\r\n",
    "cut off": b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi",
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n",
    "nothing": b"",
    "in the headers": b"HTTP/1.1 200 OK\r\nX-A",
}


def told(client, url: str, request: Request = REQUEST, timeouts: RequestTimeouts = PATIENT, **settings: object):
    """Status and body, or the kind and text of the failure."""
    made = client(Origin.of(url), timeouts, **settings)
    try:
        answer = made.exchange(request, Timing())
    except TransportError as error:
        return type(error), str(error)
    else:
        return answer.status, answer.body
    finally:
        made.close()


@pytest.mark.slow
@pytest.mark.parametrize("answer", ANSWERS.values(), ids=list(ANSWERS))
def test_both_connections_send_and_read_the_same(answer):
    """Byte for byte, from the same address, with the same answer or the same error text."""
    seen: list[tuple[str, bytes]] = []

    def script(connection: socket.socket, _: int) -> None:
        seen.append((connection.getpeername()[0], read_request(connection)))
        connection.sendall(answer)

    with serving(script) as url:
        found = [
            told(client, f"{url}/base", source_address="127.5.6.7", headers={"X-Client": "client-1"})
            for client in (Connection, BlockingConnection)
        ]
    assert found[0] == found[1]
    assert seen[0] == seen[1]
    assert seen[0][0] == "127.5.6.7"
    assert seen[0][1].count(b"pay.example.test") == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("timeouts", "script", "message"),
    [
        (RequestTimeouts(5.0, 0.2), answering(b"", then_close=False), "no complete answer within 0.2 s"),
        (RequestTimeouts(5.0, 5.0, 0.2), answering(b"", then_close=False), "no first byte within 0.2 s"),
        (RequestTimeouts(5.0, 0.2, 0.1), answering(OK[:20], then_close=False), "no complete answer within 0.2 s"),
    ],
)
def test_timeouts_are_the_same(timeouts, script, message):
    """For the whole answer, and for its first byte."""
    with serving(script) as url:
        for client in (Connection, BlockingConnection):
            assert told(client, url, timeouts=timeouts) == (RequestTimeoutError, message)


@pytest.mark.slow
def test_a_server_that_drips_does_not_stretch_the_timeout():
    """However many reads it takes."""

    def script(connection: socket.socket, _: int) -> None:
        read_request(connection)
        for byte in OK * 20:
            connection.sendall(bytes([byte]))
            time.sleep(0.05)

    began_s = time.monotonic()
    with serving(script) as url:
        assert told(BlockingConnection, url, timeouts=RequestTimeouts(5.0, 0.3))[0] is RequestTimeoutError
        assert time.monotonic() - began_s < 2


def test_a_refused_connection_fails_for_the_same_reason():
    """Both give the same reason."""
    for client in (Connection, BlockingConnection):
        assert told(client, "http://127.0.0.1:1") == (ConnectionFailedError, "Connection refused")


def test_a_connection_is_reused_until_the_server_closes_it():
    """Then another one is opened, and nothing is sent on the old one."""
    seen: list[int] = []

    def counting(script: Script) -> Script:
        def counted(connection: socket.socket, number: int) -> None:
            seen.append(number)
            script(connection, number)

        return counted

    with serving(counting(answering(OK, OK))) as url:
        connection = BlockingConnection(Origin.of(url), PATIENT)
        for connections in (1, 1, 2):
            assert connection.exchange(Request("GET", "/"), Timing()).body == b"hi"
            assert len(seen) == connections
            time.sleep(0.05)
        connection.close()
    with serving(answering(CLOSING)) as url:
        connection = BlockingConnection(Origin.of(url), PATIENT)
        for _ in range(2):
            assert connection.exchange(Request("GET", "/"), Timing()).body == b""


def test_tls_is_verified_against_the_same_authorities(certificate):
    """And the connection is kept alive."""
    with tls_serving(certificate, answering(OK, OK)) as url:
        connection = BlockingConnection(Origin.of(url), PATIENT)
        for _ in range(2):
            assert connection.exchange(Request("GET", "/"), Timing()).body == b"hi"
        connection.close()
        wrong = url.replace("localhost", "127.0.0.1")
        assert told(BlockingConnection, wrong) == told(Connection, wrong)
        why = "IP address mismatch, certificate is not valid for '127.0.0.1'"
        assert told(BlockingConnection, wrong) == (ConnectionFailedError, f"TLS: CERTIFICATE_VERIFY_FAILED ({why})")
