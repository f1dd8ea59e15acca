"""The fault proxy: each toxic does what its name says, to old and new connections, and can be ended."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress

import pytest

from loadproof.faults.proxy import FaultProxy
from loadproof.scenario.faults import Latency, LimitData, LowBandwidth, ResetPeer, SlowClose, Timeout
from tests.servers import serving

WHEN = {"phase": "steady", "lasts": "1 s"}
PATIENCE_S = 5.0


class Proxied:
    """A proxy in front of a server, with an event loop in its own thread."""

    def __init__(self, url: str) -> None:
        host, port = url.removeprefix("http://").split(":")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.proxy = FaultProxy(host, int(port))
        self.port = asyncio.run_coroutine_threadsafe(self.proxy.listen(), self._loop).result(PATIENCE_S)

    def call(self, method, *arguments) -> None:
        done: Future[None] = Future()
        self._loop.call_soon_threadsafe(lambda: done.set_result(method(*arguments)))
        done.result(PATIENCE_S)

    def begin(self, fault) -> None:
        self.call(self.proxy.begin, 1, fault)

    def end(self) -> None:
        self.call(self.proxy.end, 1)

    def connect(self, source: str = "127.0.0.1") -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), PATIENCE_S, (source, 0))

    def close(self) -> None:
        async def settle() -> None:
            self.proxy.close()
            for _ in range(3):
                await asyncio.sleep(0)

        asyncio.run_coroutine_threadsafe(settle(), self._loop).result(PATIENCE_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_S)
        self._loop.close()


def echo(connection: socket.socket, _: int) -> None:
    while chunk := connection.recv(65536):
        connection.sendall(chunk)


@contextmanager
def proxied(script) -> Iterator[Proxied]:
    with serving(script) as url:
        proxy = Proxied(url)
        try:
            yield proxy
        finally:
            proxy.close()


@pytest.fixture
def echoing() -> Iterator[Proxied]:
    with proxied(echo) as proxy:
        yield proxy


def exchange(connection: socket.socket, sent: bytes = b"hello") -> float:
    """How long the echo took, in s."""
    began_s = time.monotonic()
    connection.sendall(sent)
    received = b""
    while len(received) < len(sent):
        chunk = connection.recv(65536)
        assert chunk
        received += chunk
    assert received == sent
    return time.monotonic() - began_s


def read_from(proxy: Proxied) -> bytes:
    """Everything read on a new connection."""
    with proxy.connect() as connection:
        return connection.recv(1)


def test_bytes_and_ends_pass_unchanged(echoing):
    """Megabytes in both directions at once; then each side's end reaches the other."""
    sent = bytes(range(256)) * 20_000
    with echoing.connect() as connection:
        writing = threading.Thread(target=connection.sendall, args=[sent])
        writing.start()
        received = b""
        while len(received) < len(sent):
            received += connection.recv(1 << 20)
        writing.join(PATIENCE_S)
        assert received == sent
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""


def test_the_server_sees_each_clients_own_address():
    """Which is how it tells clients apart."""

    def whose(connection: socket.socket, _: int) -> None:
        connection.sendall(connection.getpeername()[0].encode())

    with proxied(whose) as proxy:
        for source in ("127.0.0.1", "127.3.2.1"):
            with proxy.connect(source) as connection:
                assert connection.recv(100).decode() == source


@pytest.mark.slow
def test_latency_delays_open_connections_too_and_ends(echoing):
    """By no less than it says, without changing the order."""
    with echoing.connect() as connection:
        assert exchange(connection) < 0.2
        echoing.begin(Latency(fault="latency", latency="300 ms", **WHEN))
        assert 0.3 <= exchange(connection) < 2
        with echoing.connect() as another:
            assert exchange(another) >= 0.3
        echoing.end()
        assert exchange(connection) < 0.2


@pytest.mark.slow
def test_jitter_stays_within_its_bounds(echoing):
    """And never lets a byte overtake another."""
    echoing.begin(Latency(fault="latency", latency="60 ms", jitter="50 ms", **WHEN))
    with echoing.connect() as connection:
        times_s = [exchange(connection, bytes([number])) for number in range(20)]
        assert min(times_s) >= 0.01
        assert max(times_s) - min(times_s) > 0.02
        for number in range(50):
            connection.sendall(bytes([number]))
        received = b""
        while len(received) < 50:
            received += connection.recv(100)
        assert received == bytes(range(50))


@pytest.mark.slow
def test_bandwidth_is_as_configured(echoing):
    """On average, from the first byte to the last."""
    echoing.begin(LowBandwidth(fault="bandwidth", rate="100 kB/s", **WHEN))
    with echoing.connect() as connection:
        assert 0.5 <= exchange(connection, b"x" * 50_000) < 2


def test_nothing_gets_through_a_timeout(echoing):
    """What is sent meanwhile is lost, and without a time the connection stays open."""
    with echoing.connect() as connection:
        echoing.begin(Timeout(fault="timeout", **WHEN))
        connection.sendall(b"lost")
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        echoing.end()
        connection.settimeout(PATIENCE_S)
        assert exchange(connection) < 1


def test_a_timeout_closes_after_its_time(echoing):
    """Not before."""
    with echoing.connect() as connection:
        exchange(connection)
        began_s = time.monotonic()
        echoing.begin(Timeout(fault="timeout", timeout="200 ms", **WHEN))
        assert connection.recv(1) == b""
        assert time.monotonic() - began_s >= 0.2


def test_connections_are_reset(echoing):
    """Open ones at once, and new ones; afterwards everything works again."""
    with echoing.connect() as connection:
        exchange(connection)
        echoing.begin(ResetPeer(fault="reset_peer", **WHEN))
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
    with pytest.raises(ConnectionResetError):
        read_from(echoing)
    echoing.end()
    with echoing.connect() as after:
        exchange(after)


def test_slow_close_delays_the_servers_close():
    """But not its bytes."""

    def once(connection: socket.socket, _: int) -> None:
        connection.recv(1)
        connection.sendall(b"all")

    with proxied(once) as proxy, proxy.connect() as connection:
        proxy.begin(SlowClose(fault="slow_close", delay="300 ms", **WHEN))
        began_s = time.monotonic()
        connection.sendall(b"?")
        assert connection.recv(10) == b"all"
        assert time.monotonic() - began_s < 0.25
        assert connection.recv(10) == b""
        assert time.monotonic() - began_s >= 0.3


def test_no_more_than_the_limit_passes(echoing):
    """Exactly that many bytes, then the connection ends; each connection has its own count."""
    echoing.begin(LimitData(fault="limit_data", bytes=1000, **WHEN))
    for _ in range(2):
        with echoing.connect() as connection:
            connection.sendall(b"x" * 3000)
            received = b""
            with suppress(ConnectionResetError):
                while chunk := connection.recv(65536):
                    received += chunk
            assert received == b"x" * 1000


def test_an_upstream_fault_affects_requests(echoing):
    """They are cut; answers aren't."""
    echoing.begin(LimitData(fault="limit_data", stream="upstream", bytes=10, **WHEN))
    with echoing.connect() as connection:
        connection.sendall(b"0123456789abc")
        assert connection.recv(100) in (b"", b"0123456789")


def test_toxicity_is_the_share_of_affected_connections(echoing):
    """With one half, neither none nor all of 40."""
    echoing.begin(LimitData(fault="limit_data", toxicity="50 %", bytes=1, **WHEN))
    hit = 0
    for _ in range(40):
        with echoing.connect() as connection:
            connection.sendall(b"ab")
            received = b""
            while len(received) < 2 and (chunk := connection.recv(2)):
                received += chunk
            hit += received == b"a"
    assert 5 < hit < 35


def test_an_unreachable_server_is_a_reset():
    """As from a port that nothing listens on, but one step later."""
    with serving(echo) as url:
        pass
    proxy = Proxied(url)
    with pytest.raises(ConnectionResetError):
        read_from(proxy)
    proxy.close()
