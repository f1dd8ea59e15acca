"""Each part of a request has its own timeout."""

from __future__ import annotations

import socket
import time
from contextlib import nullcontext

import gevent
import pytest

from loadproof.http.messages import ConnectionFailedError, Request, RequestTimeoutError, RequestTimeouts, Timing
from tests.loadproof.http.connections import OK, connection_to, get
from tests.servers import answering, read_request, serving


@pytest.mark.slow
@pytest.mark.parametrize("beginning", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"])
def test_silence_ends_in_a_timeout(beginning):
    """Before the first byte, and in the middle of the body."""
    with (
        serving(answering(beginning, then_close=False)) as url,
        pytest.raises(RequestTimeoutError, match=r"no complete answer within 0\.1 s"),
    ):
        get(url, timeouts=RequestTimeouts(20.0, 0.1))


@pytest.mark.slow
def test_an_endless_body_ends_in_a_timeout():
    """A byte now and then is not enough: the limit is on the whole answer."""
    sent = []

    def endless(connection: socket.socket, _: int) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            connection.sendall(b"1\r\nx\r\n")
            sent.append(1)
            time.sleep(0.02)

    with serving(endless) as url, pytest.raises(RequestTimeoutError, match=r"no complete answer within 2 s"):
        get(url, timeouts=RequestTimeouts(20.0, 2.0))
    assert len(sent) > 2


@pytest.mark.slow
def test_the_first_byte_has_its_own_timeout():
    """It doesn't apply to a slow body."""

    def script(connection: socket.socket, _: int) -> None:
        read_request(connection)
        connection.sendall(OK[:-1])
        time.sleep(2.5)
        connection.sendall(OK[-1:])

    with serving(script) as url:
        assert get(url, timeouts=RequestTimeouts(20.0, 20.0, first_byte_s=2.0)).body == b"hi"
    with (
        serving(answering(b"", then_close=False)) as url,
        pytest.raises(RequestTimeoutError, match=r"no first byte within 0\.1 s"),
    ):
        get(url, timeouts=RequestTimeouts(20.0, 20.0, first_byte_s=0.1))


@pytest.mark.slow
def test_many_requests_can_wait_at_once():
    """Two hundred requests get no answer; each ends at its own time."""
    ends_s = [0.2 + number % 10 / 100 for number in range(200)]

    def wait(url: str, end_s: float) -> float:
        began_s = time.monotonic()
        with pytest.raises(RequestTimeoutError, match=f"within {end_s:g} s"):
            get(url, timeouts=RequestTimeouts(20.0, end_s))
        return time.monotonic() - began_s

    with serving(answering(b"", then_close=False)) as url:
        greenlets = [gevent.spawn(wait, url, end_s) for end_s in ends_s]
        gevent.joinall(greenlets, timeout=60)
    assert all(greenlet.get(block=False) >= end_s for greenlet, end_s in zip(greenlets, ends_s, strict=True))


def test_connecting_has_its_own_timeout():
    """A listener with a full queue accepts no connection."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    fillers = []
    for _ in range(3):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(listener.getsockname())
        fillers.append(filler)
    try:
        with pytest.raises(RequestTimeoutError, match=r"no connection within 0\.1 s"):
            get(f"http://127.0.0.1:{listener.getsockname()[1]}", timeouts=RequestTimeouts(0.1, 20.0))
    finally:
        for one in (*fillers, listener):
            one.close()


@pytest.mark.parametrize("answer", [b"", OK])
def test_no_timeout_is_left_after_an_answer_or_a_failure(answer):
    """It would be raised later, in the middle of something else."""

    def script(connection: socket.socket, _: int) -> None:
        read_request(connection)
        connection.sendall(answer)

    with serving(script) as url:
        connection = connection_to(url, RequestTimeouts(20.0, 20.0, first_byte_s=20.0))
        with nullcontext() if answer else pytest.raises(ConnectionFailedError):
            connection.exchange(Request("GET", "/"), Timing())
    for waiting in (connection._connect, connection._first_byte, connection._total):
        assert gevent.getcurrent() not in waiting.waiting


@pytest.mark.slow
def test_each_byte_may_have_a_timeout_which_may_change_per_request():
    """Progress keeps a request alive; a body that stalls ends it."""

    def script(connection: socket.socket, _: int) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n")
        for _ in range(8):
            time.sleep(0.2)
            connection.sendall(b".")
        read_request(connection)
        connection.sendall(OK[:-1])
        connection.recv(1)

    with serving(script) as url:
        connection = connection_to(url, RequestTimeouts(20.0, 20.0, each_byte_s=1.2))
        assert connection.exchange(Request("GET", "/"), Timing()).body == b"........"
        connection.limit(RequestTimeouts(20.0, 20.0, each_byte_s=0.1))
        with pytest.raises(RequestTimeoutError, match=r"no byte within 0\.1 s"):
            connection.exchange(Request("GET", "/"), Timing())
