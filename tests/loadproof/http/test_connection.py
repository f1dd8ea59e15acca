"""The connection against real servers: a request gets its answer, or the reason why there is none."""

from __future__ import annotations

import gc
import gzip
import socket
import struct
import time
from contextlib import suppress

import pytest

from loadproof.http.bodies import MAX_BODY_BYTES, WrongBodyError
from loadproof.http.connection import Connection
from loadproof.http.messages import ConnectionFailedError, Request, RequestTimeouts, Timing, UnreadAnswerError
from loadproof.http.origin import Origin
from loadproof.http.packets import Packet
from tests.loadproof.http.connections import OK, connection_to, get
from tests.servers import answering, read_request, serving


def test_an_answer_has_status_headers_and_body():
    """Header names in lower case, JSON on demand."""
    with serving(answering(b'HTTP/1.1 201 Created\r\nContent-Length: 7\r\nX-A: b\r\n\r\n{"a":1}')) as url:
        answer = get(url)
    assert (answer.status, answer.headers["x-a"], answer.json) == (201, "b", {"a": 1})


def test_an_answers_reason_and_original_headers_are_kept():
    """The reason phrase, and each header separately, in the server's spelling."""
    with serving(answering(b"HTTP/1.1 200  Fine \r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 0\r\n\r\n")) as url:
        headers = get(url).headers
    assert (headers.reason, headers.fields[:2]) == ("Fine", (("X-A", "1"), ("x-a", "2")))
    assert headers["x-a"] == "1, 2"


def test_prebuilt_packets_are_sent_as_they_are():
    """An ordinary request between them is encoded as always."""
    packet = Packet(None, b"GET /mine HTTP/1.1\r\nHost: x\r\n\r\n", is_head=False, may_be_repeated=True, accepted=None)
    received = []

    def script(connection: socket.socket, _: int) -> None:
        for _ in range(3):
            received.append(read_request(connection))
            connection.sendall(OK)

    with serving(script) as url:
        connection = connection_to(url)
        for request in (packet, Request("GET", "/ours"), packet):
            assert connection.exchange(request, Timing()).body == b"hi"
    assert received[0] == received[2] == packet.content
    assert received[1].startswith(b"GET /ours ")


def test_an_answer_may_arrive_byte_by_byte():
    """Headers and body split at every byte."""

    def drip(connection: socket.socket, _: int) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        read_request(connection)
        for byte in OK:
            connection.sendall(bytes([byte]))

    with serving(drip) as url:
        assert get(url).body == b"hi"


def test_head_has_no_body():
    """Content-Length says what GET would send; the connection stays in step."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
    with serving(answering(head, OK)) as url:
        connection = connection_to(url)
        assert connection.exchange(Request("HEAD", "/"), Timing()).body == b""
        assert connection.exchange(Request("GET", "/"), Timing()).body == b"hi"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    ],
    ids=["nothing", "garbage", "half a body", "bad chunk", "half a header", "negative length"],
)
def test_an_incomplete_or_malformed_answer_is_a_failed_connection(raw):
    """And has a reason."""
    with serving(answering(raw)) as url, pytest.raises(ConnectionFailedError) as caught:
        get(url)
    assert str(caught.value)


def test_a_reset_is_a_failed_connection():
    """RST instead of an answer."""

    def reset(connection: socket.socket, _: int) -> None:
        read_request(connection)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with serving(reset) as url, pytest.raises(ConnectionFailedError):
        get(url, Request("POST", "/", repeatable=False))


def test_nobody_listening_is_a_failed_connection():
    """Refused."""
    with pytest.raises(ConnectionFailedError, match="refused"):
        get("http://127.0.0.1:1")


def test_the_parts_of_a_request_are_timed_separately():
    """Connecting, the first byte, and the rest: each lies between the moments at which the server did its part."""
    timing = Timing()
    moments_s = []

    def script(connection: socket.socket, _: int) -> None:
        read_request(connection)
        moments_s.append(time.monotonic())
        time.sleep(0.05)
        connection.sendall(OK[:-1])
        while not timing.first_byte_s:
            time.sleep(0.001)
        moments_s.append(time.monotonic())
        connection.sendall(OK[-1:])

    with serving(script) as url:
        connection_to(url).exchange(Request("GET", "/"), timing)
    read_s, seen_s = moments_s
    assert timing.connect_s > 0
    assert timing.began_s + timing.connect_s <= timing.sent_s <= read_s
    assert read_s + 0.05 <= timing.sent_s + timing.first_byte_s <= seen_s <= timing.ended_s


@pytest.mark.slow
def test_a_large_request_is_sent_while_the_server_takes_its_time():
    """The body is larger than the system's buffers."""
    received = []

    def script(connection: socket.socket, _: int) -> None:
        time.sleep(0.2)
        received.append(read_request(connection))
        connection.sendall(OK)

    body = b"x" * 20_000_000
    with serving(script) as url:
        assert get(url, Request("POST", "/", body=body), timeouts=RequestTimeouts(2.0, 20.0)).body == b"hi"
    assert received[0].endswith(body)


@pytest.mark.parametrize(
    ("headers", "is_allowed"),
    [
        ({"Accept-Encoding": "gzip"}, True),
        ({"accept-encoding": "br, *"}, True),
        ({}, True),
        ({"accept-encoding": "identity"}, False),
        ({"ACCEPT-ENCODING": "gzip;q=0, br"}, False),
    ],
)
def test_compressed_answers_are_decoded_if_the_request_allows_it(headers, is_allowed):
    """According to its Accept-Encoding; without one anything is allowed (RFC 9110, section 12.5.3)."""
    packed = gzip.compress(b"hi")
    raw = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b" % (len(packed), packed)
    with serving(answering(raw)) as url:
        answer = get(url, Request("POST", "/", headers=headers, body=b"\nAccept-Encoding: gzip\r\n"))
    if is_allowed:
        assert answer.body == b"hi"
    else:
        with pytest.raises(
            WrongBodyError, match="compressed as gzip, which the request's Accept-Encoding doesn't allow"
        ):
            _ = answer.body


def test_an_answer_beyond_our_limits_is_not_a_failed_connection():
    """The reason says that it is our own limit."""
    large = answering(b"HTTP/1.1 200 OK\r\nA: " + b"b" * 70_000 + b"\r\n\r\n")
    told = "headers of more than 65,536 bytes: beyond what loadproof reads"
    with serving(large) as url, pytest.raises(UnreadAnswerError, match=told):
        get(url)


def test_a_body_that_is_too_long_is_timed_to_its_end():
    """And its connection is reused."""
    large = b"x" * (MAX_BODY_BYTES + 1)
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(large), large)
    with serving(answering(raw, OK)) as url:
        connection, timing, again = connection_to(url), Timing(), Timing()
        answer = connection.exchange(Request("GET", "/"), timing)
        assert (answer.status, answer.size) == (200, len(large))
        assert timing.sent_s + timing.first_byte_s < timing.ended_s
        assert connection.exchange(Request("GET", "/"), again).body == b"hi"
        assert again.connect_s == 0


@pytest.mark.slow
def test_failures_leave_nothing_behind():
    """No reference cycle that would wait for the garbage collector."""
    gc.collect()
    gc.disable()
    try:
        with serving(answering(b"garbage\r\n\r\n")) as url:
            connection = connection_to(url)
            with pytest.raises(ConnectionFailedError):
                connection.exchange(Request("GET", "/"), Timing())
            before = sum(isinstance(one, BaseException) for one in gc.get_objects())
            for _ in range(20):
                with suppress(ConnectionFailedError):
                    connection.exchange(Request("GET", "/"), Timing())
            assert sum(isinstance(one, BaseException) for one in gc.get_objects()) <= before + 2
    finally:
        gc.enable()


def test_the_request_is_sent_as_specified():
    """Method, base path, Host, headers, body and its length."""
    seen = []

    def script(connection: socket.socket, _: int) -> None:
        seen.append(read_request(connection))
        connection.sendall(OK)

    with serving(script) as url:
        get(f"{url}/base/", Request("POST", "/pay?a=b%20c", headers={"X-Key": "k"}, body=b"{}"))
    head, _, body = seen[0].partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"POST /base/pay?a=b%20c HTTP/1.1"
    assert lines[1] == f"Host: {url.removeprefix('http://')}".encode()
    assert {b"X-Key: k", b"Content-Length: 2"} <= set(lines)
    assert body == b"{}"


def test_the_clients_source_address_is_used():
    """The server sees it."""
    peers = []

    def script(connection: socket.socket, number: int) -> None:
        peers.append(connection.getpeername()[0])
        answering(OK)(connection, number)

    with serving(script) as url:
        get(url, source_address="127.5.6.7")
    assert peers == ["127.5.6.7"]


def test_ipv6_addresses_have_brackets():
    """In the Host header; the connection reaches the server."""
    seen = []

    def script(connection: socket.socket, _: int) -> None:
        seen.append(read_request(connection))
        connection.sendall(OK)

    with serving(script, host="::1") as url:
        assert url.startswith("http://[::1]:")
        assert get(url).body == b"hi"
    assert f"Host: {url.removeprefix('http://')}".encode() in seen[0]


def test_a_name_is_tried_at_each_of_its_addresses():
    """localhost is ::1 first on many machines, and the server may listen on 127.0.0.1 only."""
    with serving(answering(OK)) as url:
        origin = Origin.of(url.replace("127.0.0.1", "localhost"))
        port = origin.port
        origin._known[:] = [
            (time.monotonic(), [(socket.AF_INET6, ("::1", port)), (socket.AF_INET, ("127.0.0.1", port))])
        ]
        connection = Connection(origin, RequestTimeouts(2.0, 2.0))
        assert connection.exchange(Request("GET", "/"), Timing()).body == b"hi"
        connection.close()


def test_a_name_that_does_not_exist_is_a_failed_connection():
    """With the resolver's reason."""
    with pytest.raises(ConnectionFailedError):
        get("http://nowhere.invalid")


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("http://a.example", "a.example"),
        ("https://a.example", "a.example"),
        ("http://a.example:443", "a.example:443"),
        ("http://[::1]:8000", "[::1]:8000"),
    ],
)
def test_the_host_header_has_the_port_only_if_it_is_not_the_default(url, authority):
    """RFC 9110, section 7.2."""
    assert Origin.of(url).authority == authority
