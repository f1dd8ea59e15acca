"""The connection against real servers that behave and misbehave."""

from __future__ import annotations

import socket
import ssl
import struct
import subprocess
import time

import pytest

from loadproof import transport
from loadproof.transport import (
    Answer,
    ClientConnections,
    Connection,
    ConnectionFailedError,
    Origin,
    Request,
    RequestTimeoutError,
    Timing,
)
from tests.servers import answering, read_request, serving

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Seen: yes\r\n\r\nhi"


_made: list[Connection] = []


def connection_to(url: str, **changes: object) -> Connection:
    settings = {"connect_timeout_s": 2.0, "total_timeout_s": 2.0} | changes
    _made.append(Connection(Origin.of(url), **settings))
    return _made[-1]


@pytest.fixture(autouse=True)
def _closed_in_the_end():
    yield
    while _made:
        _made.pop().close()


def get(url: str, request: Request = Request("GET", "/"), **changes: object) -> Answer:
    return connection_to(url, **changes).exchange(request, Timing())


def test_an_answer_has_status_headers_and_body():
    """Header names in lower case, JSON on demand."""
    with serving(answering(b'HTTP/1.1 201 Created\r\nContent-Length: 7\r\nX-A: b\r\n\r\n{"a":1}')) as url:
        answer = get(url)
    assert (answer.status, answer.headers["x-a"], answer.json) == (201, "b", {"a": 1})


@pytest.mark.parametrize(
    ("raw", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", b"hi"),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nto the end", b"to the end"),
        (b"HTTP/1.0 200 OK\r\n\r\nold", b"old"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", b""),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, b"hi"),
    ],
    ids=["chunked", "close-delimited", "http-1.0", "204", "304", "100"],
)
def test_every_way_to_end_a_message_is_understood(raw, body):
    """Chunked, by closing, without a body, after an interim answer."""
    with serving(answering(raw)) as url:
        assert get(url).body == body


def test_an_answer_may_come_byte_by_byte():
    """Headers and body split at every byte."""

    def drip(connection: socket.socket, _: int) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        read_request(connection)
        for byte in OK:
            connection.sendall(bytes([byte]))

    with serving(drip) as url:
        assert get(url).body == b"hi"


def test_head_has_no_body():
    """Content-Length tells what GET would send; the connection stays in step."""
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
def test_what_is_no_whole_answer_is_a_failed_connection(raw):
    """With a reason."""
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


@pytest.mark.parametrize("beginning", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"])
def test_silence_ends_in_a_timeout(beginning):
    """Before the first byte, and in the middle of the body."""
    with serving(answering(beginning, then_close=False)) as url:
        began_s = time.monotonic()
        with pytest.raises(RequestTimeoutError):
            get(url, total_timeout_s=0.3)
    assert time.monotonic() - began_s < 1.5


def test_an_endless_body_ends_in_a_timeout():
    """A byte now and then is no progress: the limit is on the whole answer."""

    def endless(connection: socket.socket, _: int) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(100):
            connection.sendall(b"1\r\nx\r\n")
            time.sleep(0.05)

    with serving(endless) as url, pytest.raises(RequestTimeoutError):
        get(url, total_timeout_s=0.4)


def test_a_body_beyond_bounds_is_refused(monkeypatch):
    """Memory stays bounded."""
    monkeypatch.setattr(transport, "MAX_BODY_BYTES", 1000)
    script = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + b"x" * 5000)
    with serving(script) as url, pytest.raises(ConnectionFailedError, match="more than 1000 bytes"):
        get(url)


def test_connecting_has_a_timeout_of_its_own():
    """A listener whose queue is full accepts nobody."""
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
        with pytest.raises(RequestTimeoutError, match="connecting"):
            get(f"http://127.0.0.1:{listener.getsockname()[1]}", connect_timeout_s=0.3)
    finally:
        for one in (*fillers, listener):
            one.close()


def test_a_connection_is_kept_and_used_again():
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


def test_a_request_on_a_connection_that_just_closed_is_sent_again():
    """Nothing was received, so once more on a new connection."""
    with serving(answering(OK)) as url:
        connection = connection_to(url)
        assert connection.exchange(Request("GET", "/"), Timing()).status == 200
        time.sleep(0.1)
        assert connection.exchange(Request("GET", "/"), Timing()).status == 200


def test_what_may_not_be_repeated_is_not_sent_again():
    """A payment without a key would pay twice."""
    with serving(answering(OK)) as url:
        connection = connection_to(url)
        connection.exchange(Request("GET", "/"), Timing())
        time.sleep(0.1)
        with pytest.raises(ConnectionFailedError):
            connection.exchange(Request("POST", "/", repeatable=False), Timing())


def test_an_answer_that_says_close_is_followed_by_a_new_connection():
    """Connection: close is heeded."""
    closing = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    with serving(answering(closing)) as url:
        connection = connection_to(url)
        timings = [Timing(), Timing()]
        for timing in timings:
            connection.exchange(Request("POST", "/", repeatable=False), timing)
    assert all(timing.connect_s > 0 for timing in timings)


def test_the_request_is_what_was_asked_for():
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


def test_the_source_address_is_the_clients():
    """The server sees it."""
    peers = []

    def script(connection: socket.socket, number: int) -> None:
        peers.append(connection.getpeername()[0])
        answering(OK)(connection, number)

    with serving(script) as url:
        get(url, source_address="127.5.6.7")
    assert peers == ["127.5.6.7"]


def test_a_client_has_as_many_connections_as_requests_in_flight():
    """Free ones are used again, a failed one too: it connects anew."""
    made = []

    def make() -> Connection:
        made.append(connection_to(url))
        return made[-1]

    with serving(answering(OK, OK)) as url:
        connections = ClientConnections(make)
        for _ in range(2):
            assert connections.exchange(Request("GET", "/"), Timing()).status == 200
    assert len(made) == 1


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    path = tmp_path_factory.mktemp("tls") / "pem"
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    )
    subprocess.run([*command.split(), "-keyout", path, "-out", f"{path}.crt"], check=True, capture_output=True)
    return path


def test_tls_is_verified(certificate, monkeypatch):
    """A certificate that nobody we trust has signed is refused; one that we trust is not."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{certificate}.crt", certificate)

    def script(connection: socket.socket, number: int) -> None:
        with context.wrap_socket(connection, server_side=True) as wrapped:
            answering(OK)(wrapped, number)

    with serving(script) as url:
        secure = url.replace("http://127.0.0.1", "https://localhost")
        transport._tls_context.cache_clear()
        with pytest.raises(ConnectionFailedError, match="TLS"):
            get(secure)
        monkeypatch.setenv("SSL_CERT_FILE", f"{certificate}.crt")
        transport._tls_context.cache_clear()
        assert get(secure).body == b"hi"
    transport._tls_context.cache_clear()


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("http://a.example", "a.example"),
        ("https://a.example", "a.example"),
        ("http://a.example:443", "a.example:443"),
        ("http://[::1]:8000", "[::1]:8000"),
    ],
)
def test_the_host_header_names_the_port_only_where_it_matters(url, authority):
    """RFC 9110, section 7.2."""
    assert Origin.of(url).authority == authority
