"""A client with many connections gets no more turns of the event loop than one with few; counted in requests."""

from __future__ import annotations

import gc
import hashlib
import ipaddress
import random
import re
import signal
import socket
import struct
from collections import Counter
from contextlib import ExitStack, contextmanager, suppress
from urllib.parse import urlsplit

import pytest
from websockets.sync.client import connect

from drills.target import running_target
from payments_api.protection.client import Clients
from payments_api.protection.fairness import PER_PASS, PIECE_BYTES, FairProtocol, FairShare
from tests.payments_api.protection.fairserver import FLOODER, NEIGHBOUR, FairServer, answer, ask, serving_fairly

CONNECTIONS = 64
AHEAD = 2 * PER_PASS
"""Most requests of the flooder that are served before a neighbour's that comes last: those of two passes."""


@contextmanager
def connections(server: FairServer, addresses: list[str]):
    """Accepted, idle connections from these addresses."""
    with ExitStack() as stack:
        opened = [stack.enter_context(server.connect(address)) for address in addresses]
        for connection in opened:
            ask(connection, "/first")
            assert answer(connection) == b"/first"
        server.served.clear()
        yield opened


def place_of_neighbour(server: FairServer, *paths: str) -> int:
    """How many of the flooder's requests were served before the neighbour's last one; all are answered in order."""
    with connections(server, [FLOODER] * CONNECTIONS + [NEIGHBOUR]) as opened:
        *flood, neighbour = opened
        with server.stopped():
            for connection in flood:
                ask(connection, *paths)
            ask(neighbour, "/neighbour")
        assert answer(neighbour) == b"/neighbour"
        for connection in flood:
            assert [answer(connection).decode() for _ in paths] == list(paths)
        return [address for address, path in server.served if path != "/stop"].index(NEIGHBOUR)


@pytest.mark.slow
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_neighbour_waits_for_only_a_few_of_a_flooders_requests(loop):
    """64 connections are readable in one pass, and the neighbour's is the last of them."""
    waited: list[int] = []
    with serving_fairly(FairShare(on_waited=waited.append), loop=loop) as server:
        assert place_of_neighbour(server, "/flood") <= AHEAD
    assert sum(waited) == CONNECTIONS - PER_PASS


PROXIES = Clients("x-forwarded-for", [ipaddress.ip_network("127.66.1.0/24")])
PROXY = "127.66.1.1"


def order_through_a_proxy(clients: list[str], *paths: str, loop: str = "uvloop") -> tuple[list[str], int]:
    """Clients in the order in which requests reached the app, each on a proxy's connection; and how many waited."""
    waited: list[int] = []
    share = FairShare(PROXIES, on_waited=waited.append)
    with serving_fairly(share, loop=loop) as server, connections(server, [PROXY] * len(clients)) as opened:
        asked = list(zip(opened, clients, strict=True))
        waited.clear()
        with server.stopped():
            for connection, client in asked:
                ask(connection, *(f"/{client}{path}" for path in paths), header=f"x-forwarded-for: {client}")
        for connection, client in asked:
            assert [answer(connection).decode() for _ in paths] == [f"/{client}{path}" for path in paths]
        return [path.split("/")[1] for _, path in server.served if path != "/stop"], sum(waited)


@pytest.mark.slow
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_clients_of_a_trusted_proxy_take_turns_by_the_name_it_gives_them(loop):
    """All connections come from the same peer; the neighbour's is the last of them."""
    order, waited = order_through_a_proxy(["6.6.6.6"] * CONNECTIONS + ["7.7.7.7"], "", loop=loop)
    assert order.index("7.7.7.7") <= AHEAD
    assert waited == CONNECTIONS - PER_PASS


@pytest.mark.slow
def test_a_proxys_pipelined_requests_take_turns_too():
    order, _ = order_through_a_proxy(["6.6.6.6"] * 20 + ["7.7.7.7"], *(f"/{number}" for number in range(20)))
    assert order.index("7.7.7.7") <= AHEAD
    assert Counter(order) == {"6.6.6.6": 400, "7.7.7.7": 20}


@pytest.mark.slow
def test_a_trusted_proxy_itself_does_not_take_turns():
    """Its connections carry many clients, none of which waits for the others."""
    clients = [f"6.6.6.{number}" for number in range(CONNECTIONS)]
    assert order_through_a_proxy(clients, "") == (clients, 0)


@contextmanager
def waiting_behind_a_proxy(loop: str = "uvloop"):
    """Like `waiting`, for a request forwarded by a proxy."""
    share = FairShare(PROXIES)
    with serving_fairly(share, loop=loop) as server, connections(server, [PROXY]) as (connection,):
        share.per_pass = 0
        ask(connection, "/waits")
        server.until(lambda: share._busy)
        yield server, connection


@pytest.mark.slow
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_proxy_that_has_closed_its_sending_side_is_answered(loop):
    """It closes its end of the connection while the request waits."""
    with waiting_behind_a_proxy(loop) as (server, connection):
        connection.shutdown(socket.SHUT_WR)
        for _ in range(20):
            server.in_loop(lambda: None)
        server.share.per_pass = 1
        assert answer(connection) == b"/waits"


@pytest.mark.slow
def test_a_waiting_request_of_a_closed_proxy_connection_does_not_reach_the_app():
    with waiting_behind_a_proxy() as (server, connection), server.connect(PROXY) as other:
        [protocol] = [held for held in server.protocols() if held.client == connection.getsockname()]
        server.in_loop(protocol.transport.close)
        server.share.per_pass = 1
        ask(other, "/other")
        assert answer(other) == b"/other"
        assert server.served == [(PROXY, "/other")]


@pytest.mark.slow
def test_a_waiting_request_from_a_proxy_is_served_when_the_server_stops():
    with waiting_behind_a_proxy() as (server, connection):
        server.stop()
        server.until(lambda: server._server.should_exit)
        server.share.per_pass = 1
        assert answer(connection) == b"/waits"
        assert connection.recv(1) == b""
        server.thread.join(10)
        assert not server.thread.is_alive()


@pytest.mark.slow
def test_a_proxys_clients_are_forgotten_after_their_turn():
    """Otherwise a flood of names would fill the memory while the proxy keeps its connection."""
    share = FairShare(PROXIES)
    with serving_fairly(share) as server, connections(server, [PROXY]) as (connection,):
        for number in range(50):
            ask(connection, "/", header=f"x-forwarded-for: 6.6.6.{number}")
            answer(connection)
        server.until(lambda: not share._busy and not share._had_turns)
        assert not [key for key in share._peers if key.startswith("6.6.6.")]


@pytest.mark.slow
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_pipelined_requests_take_turns_one_by_one(loop):
    """They arrive in one chunk, and each starts once the one before it was answered."""
    share = FairShare()
    with serving_fairly(share, loop=loop) as server:
        server.note = lambda: share._pass_number
        server.noted.clear()
        paths = [f"/{number}" for number in range(20)]
        assert place_of_neighbour(server, *paths) <= AHEAD
        passes = [
            number
            for number, (_, path) in zip(server.noted[-len(server.served) :], server.served, strict=True)
            if path in paths
        ]
    assert len(passes) == CONNECTIONS * len(paths)
    assert max(Counter(passes).values()) == PER_PASS


@pytest.mark.slow
def test_a_chunk_of_a_thousand_requests_is_parsed_in_pieces():
    """However large a read is, the neighbour waits for only one piece per turn."""
    paths = [f"/{number}" for number in range(1000)]
    request_bytes = len("GET /0 HTTP/1.1\r\nhost: t\r\n\r\n")
    with serving_fairly(FairShare()) as server, connections(server, [FLOODER, NEIGHBOUR]) as (flooder, neighbour):
        [flood] = [held for held in server.protocols() if held.client and held.client[0] == FLOODER]
        with server.stopped():
            ask(flooder, *paths)
            ask(neighbour, "/neighbour")
            server.noted.clear()
            server.note = lambda: len(flood.pipeline)
        assert answer(neighbour) == b"/neighbour"
        parsed = server.noted[server.served.index((NEIGHBOUR, "/neighbour"))]
        assert parsed < AHEAD * PIECE_BYTES / request_bytes
        assert [answer(flooder).decode() for _ in paths] == paths


@pytest.mark.slow
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_waiting_data_keeps_its_order_and_is_complete(loop):
    """Bodies of half a megabyte over eight connections of one client, cut and queued."""
    bodies = [random.Random(seed).randbytes(500_000) for seed in range(8)]
    with serving_fairly(FairShare(), loop=loop) as server, connections(server, [FLOODER] * 8) as opened:
        for connection, body in zip(opened, bodies, strict=True):
            connection.sendall(b"POST /body HTTP/1.1\r\nhost: t\r\ncontent-length: %d\r\n\r\n" % len(body))
        with server.stopped():
            for connection, body in zip(opened, bodies, strict=True):
                connection.sendall(body[:100_000])
        for connection, body in zip(opened, bodies, strict=True):
            connection.sendall(body[100_000:])
        assert [answer(connection) for connection in opened] == [
            hashlib.sha256(body).hexdigest().encode() for body in bodies
        ]


@contextmanager
def waiting(loop: str = "uvloop"):
    """A server with a connection whose request waits until the test raises `per_pass` of the server's share."""
    share = FairShare()
    with serving_fairly(share, loop=loop) as server, connections(server, [FLOODER]) as (connection,):
        [protocol] = [held for held in server.protocols() if held.client and held.client[0] == FLOODER]
        share.per_pass = 0
        ask(connection, "/waits")
        server.until(lambda: protocol._held)
        yield server, connection, protocol


@pytest.mark.slow
def test_keep_alive_does_not_close_a_connection_whose_request_waits():
    """However long it waits for its turn."""
    with waiting() as (server, connection, protocol):
        server.in_loop(protocol.timeout_keep_alive_handler)
        server.share.per_pass = 1
        assert answer(connection) == b"/waits"
        server.in_loop(protocol.timeout_keep_alive_handler)
        assert connection.recv(1) == b""


@pytest.mark.slow
@pytest.mark.parametrize("left_to_write", [0, 20_000_000])
def test_a_waiting_request_of_a_closed_connection_does_not_reach_the_app(left_to_write):
    """Even while answers are still being sent; the client's next request still gets its turn."""

    def close(transport):
        transport.write(bytes(left_to_write))
        transport.close()

    with waiting() as (server, connection, protocol), server.connect() as other:
        server.in_loop(lambda: close(protocol.transport))
        server.share.per_pass = 1
        ask(other, "/other")
        assert answer(other) == b"/other"
        assert sum(map(len, iter(lambda: connection.recv(1_000_000), b""))) == left_to_write
        assert server.served == [(FLOODER, "/other")]


@pytest.mark.slow
def test_a_client_that_resets_a_waiting_connection_affects_no_other():
    """Whether its request is still served is up to uvicorn."""
    with waiting() as (server, connection, protocol), server.connect() as other:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
        server.share.per_pass = 1
        ask(other, "/other")
        assert answer(other) == b"/other"
        server.until(lambda: protocol not in server.protocols())


@pytest.mark.slow
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_client_that_has_closed_its_sending_side_is_answered(loop):
    """It closes its end of the connection while the request waits."""
    with waiting(loop) as (server, connection, _):
        connection.shutdown(socket.SHUT_WR)
        server.share.per_pass = 1
        assert answer(connection) == b"/waits"


@pytest.mark.slow
def test_a_connection_holds_at_most_one_chunk():
    """Whatever the client sends, and whenever uvicorn would resume reading."""
    with waiting() as (server, connection, protocol):
        held = bytes(protocol._held)
        connection.setblocking(False)
        with suppress(BlockingIOError):
            for _ in range(100_000):
                connection.send(b"GET /more HTTP/1.1\r\nhost: t\r\n\r\n" * 1000)
            pytest.fail("the connection is still read")
        server.in_loop(protocol.flow.pause_reading)
        server.in_loop(protocol.flow.resume_reading)
        for _ in range(20):
            server.in_loop(lambda: None)
        assert bytes(protocol._held) == held


@pytest.mark.slow
def test_reading_stays_paused_as_long_as_either_side_wants_it():
    """uvicorn, or a waiting chunk."""
    with waiting() as (server, _, protocol):

        def paused_after(*calls: str) -> list[bool]:
            return [(getattr(protocol.flow, call)(), protocol.flow.read_paused)[1] for call in calls]

        assert server.in_loop(lambda: paused_after("release")) == [False]
        calls = ["pause_reading", "hold", "release", "resume_reading", "hold", "pause_reading", "resume_reading"]
        assert server.in_loop(lambda: paused_after(*calls, "release")) == [
            True,
            True,
            True,
            False,
            True,
            True,
            True,
            False,
        ]


@pytest.mark.slow
def test_a_waiting_request_is_served_when_the_server_stops():
    """As if it had never had to wait; then the connection is closed."""
    with waiting() as (server, connection, _):
        server.stop()
        assert answer(connection) == b"/waits"
        assert connection.recv(1) == b""
        server.thread.join(10)
        assert not server.thread.is_alive()


@pytest.mark.slow
def test_a_partly_held_body_is_read_to_its_end_when_the_server_stops():
    """The request has begun to arrive, and uvicorn lets those finish."""
    share = FairShare()
    with serving_fairly(share) as server, connections(server, [FLOODER]) as (connection,):
        [protocol] = [held for held in server.protocols() if held.client and held.client[0] == FLOODER]
        share.per_pass = 0
        connection.sendall(b"POST /body HTTP/1.1\r\nhost: t\r\ncontent-length: 6\r\n\r\nhal")
        server.until(lambda: protocol._held)
        server.stop()
        server.until(lambda: not protocol._held)
        share.per_pass = 1
        connection.sendall(b"ves")
        assert answer(connection) == hashlib.sha256(b"halves").hexdigest().encode()


@pytest.mark.slow
def test_a_websocket_that_had_to_wait_is_read_on():
    """Its handshake is longer than a piece, and uvicorn hands the connection to another protocol."""
    share = FairShare()
    with serving_fairly(share) as server:
        header = {"x-padding": "p" * 5000}
        with connect(f"ws://127.0.0.1:{server.port}", additional_headers=header) as websocket:
            websocket.send("hello")
            assert websocket.recv(10) == "hello"


@pytest.mark.slow
def test_data_after_a_handshake_in_its_chunk_is_no_request():
    """uvicorn drops it, in one chunk as in pieces."""
    handshake = (
        b"GET /ws HTTP/1.1\r\nhost: t\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
        b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    with serving_fairly(FairShare()) as server, server.connect() as connection:
        connection.sendall(handshake + b"x" * 6000)
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += connection.recv(1)
        assert head.startswith(b"HTTP/1.1 101 ")
        connection.sendall(b"\x81\x85\0\0\0\0hello")
        assert connection.recv(7, socket.MSG_WAITALL) == b"\x81\x05hello"


@pytest.mark.slow
def test_clients_are_forgotten_with_their_last_connection():
    """Otherwise scanners with many addresses would fill the memory."""
    share = FairShare()
    with serving_fairly(share) as server:
        with connections(server, [FLOODER, FLOODER, NEIGHBOUR]):
            assert {FLOODER, NEIGHBOUR} <= set(share._peers)
        server.until(lambda: not server.protocols())
        server.in_loop(gc.collect)
        server.until(lambda: not share._peers)


def test_an_error_in_one_turn_keeps_nobody_waiting():
    """The clients after it get their turn in the next pass."""
    due: list[tuple] = []

    class Loop:
        def call_soon(self, *call):
            due.append(call)

    def fail():
        raise ZeroDivisionError

    share, served = FairShare(per_pass=1), []
    one, other = share.peer("192.0.2.1"), share.peer("192.0.2.2")
    for peer in (one, other):
        assert [share.takes(peer, Loop()) for _ in range(2)] == [True, False]
    share.wait(one, fail)
    share.wait(one, lambda: served.append("one"))
    share.wait(other, lambda: served.append("other"))
    for call, *arguments in iter(lambda: due.pop(0), None):
        with pytest.raises(ZeroDivisionError) if not served and share._pass_number == 1 else ExitStack():
            call(*arguments)
        if not due:
            break
    assert sorted(served) == ["one", "other"]
    assert not share._busy


@pytest.mark.process
def test_the_api_takes_turns_and_counts_waits():
    """Its process is stopped while the requests arrive, so that it finds all of them at once."""
    with running_target(LIMIT_HEALTH="1000/min") as target, ExitStack() as stack:
        port = urlsplit(target.url).port
        opened = [stack.enter_context(socket.create_connection(("127.0.0.1", port), 10)) for _ in range(8)]
        for connection in opened:
            ask(connection, "/health")
            answer(connection)
        before = target.metric("protection_deferred_total")
        target.process.send_signal(signal.SIGSTOP)
        for connection in opened:
            ask(connection, "/health")
        target.process.send_signal(signal.SIGCONT)
        assert {answer(connection) for connection in opened} == {b'{"status":"ok"}'}
        assert target.metric("protection_deferred_total") - before == len(opened) - PER_PASS


@pytest.mark.parametrize(
    ("clients", "host", "key"),
    [
        (Clients(), "192.0.2.1", "192.0.2.1"),
        (Clients(), "2001:db8::1:2", "2001:db8::/64"),
        (Clients(), "::ffff:192.0.2.1", "192.0.2.1"),
        (Clients(), "a.socket", "a.socket"),
        (Clients("x-real-ip", [ipaddress.ip_network("10.0.0.0/8")]), "10.1.2.3", None),
        (Clients("x-real-ip", [ipaddress.ip_network("10.0.0.0/8")]), "192.0.2.1", "192.0.2.1"),
    ],
)
def test_turns_and_limits_identify_clients_in_the_same_way(clients, host, key):
    """A whole /64 takes one turn; a trusted proxy takes none."""
    assert clients.peer_key(host) == key


@pytest.mark.slow
def test_uvicorns_internals_are_as_fairness_expects():
    """This shows what changed when uvicorn is upgraded."""
    with uvicorn_unchanged("a response ends with on_response_complete, and pipelined requests wait in `pipeline`"):
        inherited = FairProtocol.__mro__[1]
        names = ("connection_made", "data_received", "on_response_complete", "timeout_keep_alive_handler", "shutdown")
        assert [name for name in names if name not in vars(inherited)] == []
        assert [name for name in names if name not in vars(FairProtocol)] == []
        with waiting() as (server, connection, protocol):
            assert protocol.client == connection.getsockname()
            assert not protocol.pipeline
            assert protocol.loop is server.loop
            assert protocol.timeout_keep_alive_task is not None
            server.share.per_pass = 1
            assert answer(connection) == b"/waits"
    with uvicorn_unchanged("it pauses and resumes reading by `flow` alone"):
        source = __import__("inspect").getsource(__import__(inherited.__module__, fromlist=["_"]))
        assert re.findall(r"transport\.(?:pause|resume)_reading", source) == []
        assert source.count("FlowControl(") == 1


@contextmanager
def uvicorn_unchanged(what: str):
    try:
        yield
    except Exception as error:
        message = f"uvicorn changed: {what}; used in payments_api/protection/fairness.py ({error!r})"
        raise AssertionError(message) from error
