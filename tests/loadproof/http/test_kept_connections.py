"""A connection is kept, reused, and dropped when the server has closed it; no request gets another's answer."""

from __future__ import annotations

import socket
import struct
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import gevent
import pytest

from loadproof.http.blocking import BlockingConnection
from loadproof.http.client import ClientConnections
from loadproof.http.messages import ConnectionFailedError, Request, RequestTimeouts, Timing
from loadproof.http.origin import Origin
from tests.loadproof.http.connections import CLOSING, OK, connection_to
from tests.servers import Script, answering, read_request, serving

if TYPE_CHECKING:
    from loadproof.http.connection import Connection


def test_a_connection_is_kept_and_reused():
    """Two requests, one connection; the second needs no connecting."""
    numbers = []

    def script(connection: socket.socket, number: int) -> None:
        numbers.append(number)
        answering(OK, OK)(connection, number)

    with serving(script) as url:
        connection = connection_to(url)
        first, second = Timing(), Timing()
        connection.exchange(Request("GET", "/"), first)
        connection.exchange(Request("GET", "/"), second)
    assert numbers == [0]
    assert first.connect_s > 0
    assert second.connect_s == 0


def test_a_request_that_says_close_is_the_last_on_its_connection():
    """Even if the server would have kept it."""
    numbers = []

    def script(connection: socket.socket, number: int) -> None:
        numbers.append(number)
        answering(OK, OK)(connection, number)

    with serving(script) as url:
        connection = connection_to(url)
        for headers in ({"connection": "Close"}, {}):
            connection.exchange(Request("GET", "/", headers=headers), Timing())
    assert numbers == [0, 1]


def leaving_after(first: bytes, *, reset: bool = False) -> Script:
    """The first connection answers once, reads the next request and closes without answering; later ones answer."""

    def script(connection: socket.socket, number: int) -> None:
        read_request(connection)
        connection.sendall(first)
        if number == 0:
            read_request(connection)
            if reset:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return script


def as_if_far_away(connection: Connection) -> None:
    """Pretend that connecting took long: a server that closes within twice that time can't have seen the request."""
    connection._connect_s = 20.0


@pytest.mark.parametrize("reset", [False, True], ids=["end", "reset"])
def test_a_request_on_a_connection_that_just_closed_is_repeated(reset):
    """Nothing was received, so once more on a new connection."""
    with serving(leaving_after(OK, reset=reset)) as url:
        connection = connection_to(url)
        timings = [Timing(), Timing()]
        for timing in timings:
            assert connection.exchange(Request("GET", "/"), timing).status == 200
            as_if_far_away(connection)
    first, again = timings
    assert (first.is_repeated, again.is_repeated) == (False, True)
    # Service time is that of the second attempt; the time since the beginning includes the first, and connecting.
    assert 0 < again.connect_s < again.sent_s - again.began_s
    assert again.sent_s <= again.ended_s


@pytest.mark.parametrize("reset", [False, True], ids=["end", "reset"])
def test_a_request_that_a_server_had_time_to_process_is_not_repeated(reset):
    """A server that closes 20 ms after it has read the request has failed."""
    taken = []

    def script(connection: socket.socket, number: int) -> None:
        read_request(connection)
        connection.sendall(OK)
        if number == 0:
            taken.append(read_request(connection))
            time.sleep(0.02)
            if reset:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            taken.append(b"again")

    with serving(script) as url:
        connection = connection_to(url)
        connection.exchange(Request("GET", "/"), Timing())
        # As on loopback, however long connecting took a busy machine.
        connection._connect_s = 0.0
        with pytest.raises(ConnectionFailedError):
            connection.exchange(Request("GET", "/"), timing := Timing())
    assert not timing.is_repeated
    assert len(taken) == 1


@pytest.mark.parametrize("reset", [False, True], ids=["end", "reset"])
def test_a_request_that_may_not_be_repeated_is_sent_only_once(reset):
    """A payment without a key would pay twice."""
    with serving(leaving_after(OK, reset=reset)) as url:
        connection = connection_to(url)
        connection.exchange(Request("GET", "/"), Timing())
        with pytest.raises(ConnectionFailedError):
            connection.exchange(Request("POST", "/"), Timing())


def test_a_request_is_repeated_only_once():
    """A server that always closes is a failure, not a loop."""
    requests = []

    def script(connection: socket.socket, number: int) -> None:
        requests.append(read_request(connection))
        if number == 0:
            connection.sendall(OK)
            requests.append(read_request(connection))

    with serving(script) as url:
        connection = connection_to(url)
        connection.exchange(Request("GET", "/"), Timing())
        as_if_far_away(connection)
        with pytest.raises(ConnectionFailedError, match="without an answer"):
            connection.exchange(Request("GET", "/"), timing := Timing())
    assert len(requests) == 3
    assert timing.began_s < timing.sent_s <= timing.ended_s


@pytest.mark.parametrize(
    ("beginning", "reason"),
    [(OK[:10], "within the headers"), (b"@", "not HTTP"), (b"HTTP/1.1 100 C\r\n\r\n", "closed")],
)
def test_a_request_whose_answer_has_begun_is_not_repeated(beginning, reason):
    """The server has acted on it, whatever the answer would have been."""

    def script(connection: socket.socket, _: int) -> None:
        read_request(connection)
        connection.sendall(OK)
        read_request(connection)
        connection.sendall(beginning)

    with serving(script) as url:
        connection = connection_to(url)
        connection.exchange(Request("GET", "/"), Timing())
        with pytest.raises(ConnectionFailedError, match=reason):
            connection.exchange(Request("GET", "/"), Timing())


@pytest.mark.parametrize("reset", [False, True], ids=["end", "reset"])
@pytest.mark.parametrize("loop_runs", [True, False], ids=["loop runs", "loop is busy"])
def test_a_connection_closed_long_ago_is_replaced(loop_runs, reset):
    """Also for a request that may not be sent twice, because it wasn't sent yet; the answer before it was complete."""
    read, left = threading.Event(), threading.Event()

    def script(connection: socket.socket, _: int) -> None:
        read_request(connection)
        connection.sendall(OK)
        read.wait(20)
        if reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
        else:
            connection.shutdown(socket.SHUT_RDWR)
        left.set()

    with serving(script) as url:
        connection = connection_to(url)
        timings = [Timing(), Timing()]
        connection.exchange(Request("GET", "/"), timings[0])
        read.set()
        assert left.wait(20)
        if loop_runs:
            gevent.sleep(0.02)
        assert connection.exchange(Request("POST", "/"), timings[1]).status == 200
    assert timings[1].connect_s > 0
    assert not any(timing.is_marked for timing in timings)


@pytest.mark.parametrize("at_once", [True, False])
def test_a_surplus_answer_is_ignored(at_once):
    """Whether it comes at once or later, the next request gets its own answer, on another connection."""
    forged = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"
    asked, sent = threading.Event(), threading.Event()

    def script(connection: socket.socket, _: int) -> None:
        read_request(connection)
        connection.sendall(OK + forged if at_once else OK)
        if not at_once:
            asked.wait(20)
            connection.sendall(forged)
        sent.set()
        connection.recv(1)

    with serving(script) as url:
        connection = connection_to(url)
        first = Timing()
        assert connection.exchange(Request("GET", "/"), first).body == b"hi"
        asked.set()
        assert sent.wait(20)
        gevent.sleep(0.02)
        again = Timing()
        assert connection.exchange(Request("GET", "/"), again).body == b"hi"
    assert again.connect_s > 0
    # The server that sends it at once does so after each answer.
    assert (first.has_surplus, again.has_surplus) == (at_once, True)
    assert again.is_marked


def test_a_server_that_announces_its_idle_timeout_sends_no_surplus():
    """A 408 on an unused connection, which then ends."""
    idle, ended = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n", threading.Event()
    answered = threading.Event()

    def script(connection: socket.socket, number: int) -> None:
        answering(OK)(connection, number)
        if number == 0:
            answered.wait(20)
            connection.sendall(idle)
            ended.set()

    with serving(script) as url:
        connection = connection_to(url)
        connection.exchange(Request("GET", "/"), Timing())
        answered.set()
        assert ended.wait(20)
        gevent.sleep(0.02)
        again = Timing()
        assert connection.exchange(Request("GET", "/"), again).status == 200
    assert again.connect_s > 0
    assert not again.has_surplus


def test_an_answer_that_says_close_is_followed_by_a_new_connection():
    """Connection: close is respected."""
    with serving(answering(CLOSING)) as url:
        connection = connection_to(url)
        timings = [Timing(), Timing()]
        for timing in timings:
            connection.exchange(Request("POST", "/", repeatable=False), timing)
    assert all(timing.connect_s > 0 for timing in timings)
    assert not any(timing.has_surplus or timing.is_marked for timing in timings)


def test_a_client_has_as_many_connections_as_requests_in_flight():
    """Free ones are reused; even a failed one, which reconnects."""
    made: list[Connection] = []
    all_are_there = threading.Barrier(3, timeout=20)
    broken = threading.Event()

    def make() -> Connection:
        made.append(connection_to(url))
        return made[-1]

    def script(connection: socket.socket, _: int) -> None:
        while read_request(connection):
            all_are_there.wait()
            connection.sendall(b"garbage\r\n\r\n" if broken.is_set() else OK)

    def ask() -> int | None:
        with suppress(ConnectionFailedError):
            return connections.exchange(Request("GET", "/"), Timing()).status

    def ask_three() -> list[int | None]:
        asking = [gevent.spawn(ask) for _ in range(3)]
        gevent.joinall(asking, timeout=30)
        return [one.get(block=False) for one in asking]

    with serving(script) as url:
        connections = ClientConnections(make)
        assert ask_three() == [200] * 3
        broken.set()
        assert ask_three() == [None] * 3
        broken.clear()
        assert ask_three() == [200] * 3
    assert len(made) == 3


def test_an_interrupted_request_leaves_nothing_for_the_next():
    """It is killed in the middle of an answer, as when a run stops; the rest of that answer is never read."""
    cut = threading.Event()

    def script(connection: socket.socket, number: int) -> None:
        read_request(connection)
        if number:
            connection.sendall(OK)
            return
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nthe ")
        cut.wait(20)
        connection.sendall(b"other")
        connection.recv(1)

    with serving(script) as url:
        connection, timing = connection_to(url), Timing()
        asking = gevent.spawn(connection.exchange, Request("GET", "/"), timing)
        with gevent.Timeout(20):
            while not timing.first_byte_s:
                gevent.sleep(0.001)
        asking.kill()
        cut.set()
        again = Timing()
        assert connection.exchange(Request("GET", "/"), again).body == b"hi"
    assert again.connect_s > 0


class IdleTimeout:
    """A server that closes connections that were idle for `idle_s`, as Node and uvicorn do."""

    def __init__(self, idle_s: float) -> None:
        self.closed_by_it = 0
        self.closed_by_us = 0
        self._idle_s = idle_s

    def script(self, connection: socket.socket, _: int) -> None:
        connection.settimeout(self._idle_s)
        try:
            while read_request(connection):
                connection.sendall(OK)
        except TimeoutError:
            self.closed_by_it += 1
        else:
            self.closed_by_us += 1


def send_at_a_pace(url: str, *, pace_s: float, times: int, clients: int, **timeouts: float) -> list[str]:
    """How requests ended that must not be sent twice."""
    ended: list[str] = []

    def use(_: int) -> None:
        connection = connection_to(url, RequestTimeouts(20.0, 20.0, **timeouts))
        for _ in range(times):
            try:
                connection.exchange(Request("POST", "/"), Timing())
            except ConnectionFailedError:
                ended.append("connection")
            else:
                ended.append("answered")
            gevent.sleep(pace_s)

    gevent.joinall([gevent.spawn(use, number) for number in range(clients)], raise_error=True)
    return ended


@pytest.mark.slow
def test_we_close_idle_connections_before_the_server_does():
    """The server's idle timeout equals the pace: it never closes one first, and no request meets a closed one."""
    server = IdleTimeout(0.4)
    with serving(server.script) as url:
        ended = send_at_a_pace(url, pace_s=0.4, times=5, clients=20, keep_alive_idle_s=0.1)
        gevent.sleep(0.3)
        assert ended == ["answered"] * 100
        assert server.closed_by_it == 0
        assert server.closed_by_us >= 100


@pytest.mark.slow
def test_a_connection_in_use_is_not_idle():
    """However long an answer takes, and if it is used again in time."""

    def slowly(connection: socket.socket, number: int) -> None:
        while read_request(connection):
            time.sleep(0.3)
            connection.sendall(OK)
            numbers.append(number)

    numbers: list[int] = []
    with serving(slowly) as url:
        connection = connection_to(url, RequestTimeouts(20.0, 20.0, keep_alive_idle_s=0.2))
        for _ in range(3):
            assert connection.exchange(Request("GET", "/"), Timing()).status == 200
            gevent.sleep(0.02)
    assert numbers == [0, 0, 0]


@pytest.mark.slow
def test_nothing_is_sent_on_an_idle_connection_even_if_the_timer_is_late():
    """The event loop may be busy, so the clock is checked before sending, too."""
    numbers: list[int] = []

    def noting(connection: socket.socket, number: int) -> None:
        while read_request(connection):
            numbers.append(number)
            connection.sendall(OK)

    with serving(noting) as url:
        for client in (connection_to, blocking_connection_to):
            numbers.clear()
            connection = client(url, RequestTimeouts(20.0, 20.0, keep_alive_idle_s=0.1))
            for _ in range(2):
                connection.exchange(Request("GET", "/"), Timing())
                time.sleep(0.15)  # The event loop is blocked.
            connection.close()
            assert len(set(numbers)) == 2


def blocking_connection_to(url: str, timeouts: RequestTimeouts) -> BlockingConnection:
    return BlockingConnection(Origin.of(url), timeouts)
