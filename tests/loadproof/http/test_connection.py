"""The connection against real servers that behave and misbehave."""

from __future__ import annotations

import gc
import gzip
import socket
import ssl
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import gevent
import pytest

from loadproof.http import stream
from loadproof.http.client import ClientConnections
from loadproof.http.connection import Connection
from loadproof.http.messages import ConnectionFailedError, Request, RequestTimeoutError, Timeouts, Timing
from loadproof.http.origin import Origin
from tests.servers import Script, answering, read_request, serving

if TYPE_CHECKING:
    from loadproof.http.answers import Answer

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Seen: yes\r\n\r\nhi"
CLOSING = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


_made: list[Connection] = []


def connection_to(url: str, timeouts: Timeouts = Timeouts(2.0, 2.0), **settings: object) -> Connection:
    _made.append(Connection(Origin.of(url), timeouts, **settings))
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
            get(url, timeouts=Timeouts(2.0, 0.3))
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
        get(url, timeouts=Timeouts(2.0, 0.4))


def test_the_first_byte_has_a_timeout_of_its_own():
    """A slow body doesn't fall under it."""

    def script(connection: socket.socket, number: int) -> None:
        read_request(connection)
        connection.sendall(OK[:-1])
        time.sleep(0.4)
        connection.sendall(OK[-1:])

    with serving(script) as url:
        assert get(url, timeouts=Timeouts(2.0, 2.0, first_byte_s=0.2)).body == b"hi"
    with (
        serving(answering(b"", then_close=False)) as url,
        pytest.raises(RequestTimeoutError, match=r"nothing of an answer within 0\.2 s"),
    ):
        get(url, timeouts=Timeouts(2.0, 2.0, first_byte_s=0.2))


def test_the_parts_of_a_request_are_timed_apart():
    """Connecting, the first byte, and the rest."""

    def script(connection: socket.socket, _: int) -> None:
        read_request(connection)
        time.sleep(0.1)
        connection.sendall(OK[:-1])
        time.sleep(0.2)
        connection.sendall(OK[-1:])

    timing = Timing()
    with serving(script) as url:
        connection_to(url).exchange(Request("GET", "/"), timing)
    assert (
        0 < timing.connect_s < 0.1 <= timing.first_byte_s < 0.2 < timing.ended_s - timing.sent_s - timing.first_byte_s
    )
    assert timing.began_s + timing.connect_s <= timing.sent_s


def test_a_large_request_is_sent_while_the_server_takes_its_time():
    """More than the buffers of the system hold."""
    received = []

    def script(connection: socket.socket, _: int) -> None:
        time.sleep(0.2)
        received.append(read_request(connection))
        connection.sendall(OK)

    body = b"x" * 20_000_000
    with serving(script) as url:
        assert get(url, Request("POST", "/", body=body), timeouts=Timeouts(2.0, 20.0)).body == b"hi"
    assert received[0].endswith(body)


def test_an_answer_may_come_before_the_request_is_sent():
    """413 to an upload: it is the answer, and the rest of the upload is not what the next request begins with."""
    refusal = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n"

    def script(connection: socket.socket, number: int) -> None:
        if number == 0:
            connection.recv(1000)
            connection.sendall(refusal)
            time.sleep(0.5)
        else:
            answering(OK)(connection, number)

    with serving(script) as url:
        connection = connection_to(url)
        assert connection.exchange(Request("POST", "/", body=b"x" * 20_000_000), Timing()).status == 413
        again = Timing()
        assert connection.exchange(Request("GET", "/"), again).body == b"hi"
    assert again.ended_s - again.began_s < 0.3


@pytest.mark.parametrize("name", ["Accept-Encoding", "accept-encoding", None])
def test_packed_answers_are_unpacked_for_those_who_asked(name):
    """By the request's own header; a body that mentions it asks for nothing."""
    packed = gzip.compress(b"hi")
    raw = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b" % (len(packed), packed)
    with serving(answering(raw)) as url:
        request = Request("POST", "/", headers={name: "gzip"} if name else {}, body=b"\nAccept-Encoding: gzip\r\n")
        assert get(url, request).body == (b"hi" if name else packed)


def test_failures_leave_nothing_behind():
    """No cycle that would wait for the garbage collector."""
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


def test_many_wait_at_once():
    """A thousand requests that end in nothing, each at its own time and with nothing left behind."""
    with serving(answering(b"", then_close=False)) as url:
        made = [connection_to(url, timeouts=Timeouts(5.0, 0.3)) for _ in range(200)]
        began_s = time.monotonic()
        greenlets = [gevent.spawn(one.exchange, Request("GET", "/"), Timing()) for one in made]
        gevent.joinall(greenlets, timeout=5)
    assert all(isinstance(one.exception, RequestTimeoutError) for one in greenlets)
    assert time.monotonic() - began_s < 3


def test_a_request_that_is_cut_off_leaves_nothing_for_the_next():
    """Killed in the middle of an answer, as a stop does."""
    with serving(answering(OK[:-1], then_close=False)) as url:
        connection = connection_to(url)
        greenlet = gevent.spawn(connection.exchange, Request("GET", "/"), Timing())
        gevent.sleep(0.1)
        greenlet.kill()
        again = gevent.spawn(connection.exchange, Request("GET", "/"), timing := Timing())
        gevent.sleep(0.1)
        again.kill()
    assert timing.connect_s > 0


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
        with pytest.raises(RequestTimeoutError, match=r"no connection within 0\.3 s"):
            get(f"http://127.0.0.1:{listener.getsockname()[1]}", timeouts=Timeouts(0.3, 2.0))
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


def leaving_after(first: bytes, *, reset: bool = False) -> Script:
    """The first connection answers once and takes the next request, but leaves without a word; others answer."""

    def script(connection: socket.socket, number: int) -> None:
        read_request(connection)
        connection.sendall(first)
        if number == 0:
            read_request(connection)
            if reset:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return script


@pytest.mark.parametrize("reset", [False, True], ids=["end", "reset"])
def test_a_request_on_a_connection_that_just_closed_is_sent_again(reset):
    """Nothing was received, so once more on a new connection."""
    with serving(leaving_after(OK, reset=reset)) as url:
        connection = connection_to(url)
        timings = [Timing(), Timing()]
        for timing in timings:
            assert connection.exchange(Request("GET", "/"), timing).status == 200
    # It counts from the first time that it was sent.
    assert 0 < timings[1].connect_s < timings[1].ended_s - timings[1].sent_s


@pytest.mark.parametrize("reset", [False, True], ids=["end", "reset"])
def test_what_may_not_be_repeated_is_not_sent_again(reset):
    """A payment without a key would pay twice."""
    with serving(leaving_after(OK, reset=reset)) as url:
        connection = connection_to(url)
        connection.exchange(Request("GET", "/"), Timing())
        with pytest.raises(ConnectionFailedError):
            connection.exchange(Request("POST", "/"), Timing())


def test_a_request_is_sent_again_only_once():
    """A server that always leaves is a failure, not a loop."""
    requests = []

    def script(connection: socket.socket, number: int) -> None:
        requests.append(read_request(connection))
        if number == 0:
            connection.sendall(OK)
            requests.append(read_request(connection))

    with serving(script) as url:
        connection = connection_to(url)
        connection.exchange(Request("GET", "/"), Timing())
        with pytest.raises(ConnectionFailedError, match="without an answer"):
            connection.exchange(Request("GET", "/"), Timing())
    assert len(requests) == 3


@pytest.mark.parametrize(
    ("beginning", "reason"),
    [(OK[:10], "within the headers"), (b"@", "not HTTP"), (b"HTTP/1.1 100 C\r\n\r\n", "closed")],
)
def test_a_request_whose_answer_began_is_not_sent_again(beginning, reason):
    """The server has acted on it, whatever it says."""

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


@pytest.mark.parametrize("sleep", [gevent.sleep, time.sleep], ids=["loop runs", "loop is busy"])
def test_a_connection_that_was_left_long_ago_is_opened_anew(sleep):
    """Also for what may not be sent twice: it had not been sent yet."""
    with serving(answering(OK)) as url:
        connection = connection_to(url)
        connection.exchange(Request("GET", "/"), Timing())
        sleep(0.2)
        assert connection.exchange(Request("POST", "/"), Timing()).status == 200


@pytest.mark.parametrize("pause_s", [0.0, 0.1])
def test_a_surplus_answer_answers_nothing(pause_s):
    """Whether it comes at once or later, the next request has an answer of its own, on another connection."""
    forged = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"

    def script(connection: socket.socket, number: int) -> None:
        read_request(connection)
        connection.sendall(OK if pause_s else OK + forged)
        if number == 0 and pause_s:
            time.sleep(pause_s / 2)
            connection.sendall(forged)
        connection.recv(1)

    with serving(script) as url:
        connection = connection_to(url)
        for _ in range(2):
            assert connection.exchange(Request("GET", "/"), Timing()).body == b"hi"
            gevent.sleep(pause_s)


def test_an_answer_that_says_close_is_followed_by_a_new_connection():
    """Connection: close is heeded."""
    with serving(answering(CLOSING)) as url:
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


def redirecting(*locations: str, status: int = 302) -> Script:
    """Each request is sent on to the next of these; then answered with its own first line and body."""

    def script(connection: socket.socket, _: int) -> None:
        waiting = list(locations)
        while request := read_request(connection):
            line, body = request.split(b"\r\n")[0], request.partition(b"\r\n\r\n")[2]
            if waiting:
                head = f"HTTP/1.1 {status} Moved\r\nLocation: {waiting.pop(0)}\r\nContent-Length: 0\r\n\r\n"
                connection.sendall(head.encode())
            else:
                answer = line + b" " + body
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(answer), answer))

    return script


def follow(url: str, request: Request, timing: Timing | None = None) -> Answer:
    return ClientConnections(lambda: connection_to(url)).exchange(request, timing or Timing())


def test_redirects_are_answers():
    """Unless asked for."""
    with serving(redirecting("/there")) as url:
        assert follow(url, Request("GET", "/")).status == 302


@pytest.mark.parametrize(
    ("location", "line"),
    [
        ("/there?a=b%20c", b"GET /there?a=b%20c HTTP/1.1 "),
        ("there", b"GET /base/there HTTP/1.1 "),
        ("?a", b"GET /base/here?a HTTP/1.1 "),
        ("/a b", b"GET /a%20b HTTP/1.1 "),
    ],
)
def test_redirects_are_followed_when_asked(location, line):
    """Relative to where the request went, and escaped."""
    timing = Timing()
    with serving(redirecting(location)) as url:
        answer = follow(f"{url}/base", Request("GET", "/here", follow_redirects=True), timing)
    assert answer.body == line
    assert timing.ended_s > timing.sent_s > 0


@pytest.mark.parametrize(
    ("status", "method", "line"),
    [
        (301, "POST", b"GET /x HTTP/1.1 "),
        (303, "PUT", b"GET /x HTTP/1.1 "),
        (302, "PUT", b"PUT /x HTTP/1.1 {}"),
        (307, "POST", b"POST /x HTTP/1.1 {}"),
        (308, "POST", b"POST /x HTTP/1.1 {}"),
    ],
)
def test_a_redirect_keeps_or_changes_the_method(status, method, line):
    """RFC 9110, section 15.4."""
    with serving(redirecting("/x", status=status)) as url:
        assert follow(url, Request(method, "/", body=b"{}", follow_redirects=True)).body == line


def test_nobody_is_led_to_another_host():
    """It might be one that may not be loaded."""
    for location in ("http://192.0.2.1/", "//192.0.2.1/", "https://127.0.0.1/", "http://127.0.0.1:1/"):
        with serving(redirecting(location)) as url:
            assert follow(url, Request("GET", "/", follow_redirects=True)).status == 302


def test_redirects_that_lead_nowhere_end():
    """After five."""
    with serving(redirecting(*["/again"] * 20)) as url, pytest.raises(ConnectionFailedError, match="more than 5"):
        follow(url, Request("GET", "/", follow_redirects=True))


def test_ipv6_has_brackets():
    """In the Host header, and the connection goes there."""
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
        connection = Connection(origin, Timeouts(2.0, 2.0))
        assert connection.exchange(Request("GET", "/"), Timing()).body == b"hi"
        connection.close()


def test_a_name_that_does_not_exist_is_a_failed_connection():
    """With the resolver's reason."""
    with pytest.raises(ConnectionFailedError):
        get("http://nowhere.invalid")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    path = tmp_path_factory.mktemp("tls") / "pem"
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    )
    subprocess.run([*command.split(), "-keyout", path, "-out", f"{path}.crt"], check=True, capture_output=True)
    return path


@contextmanager
def tls_serving(certificate: Path, monkeypatch, script: Script) -> Iterator[str]:
    """A server whose certificate we trust."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{certificate}.crt", certificate)

    def wrapped_script(connection: socket.socket, number: int) -> None:
        with context.wrap_socket(connection, server_side=True) as wrapped:
            script(wrapped, number)

    monkeypatch.setenv("SSL_CERT_FILE", f"{certificate}.crt")
    stream.tls_context.cache_clear()
    with serving(wrapped_script) as url:
        yield url.replace("http://127.0.0.1", "https://localhost")
    stream.tls_context.cache_clear()


def test_tls_is_verified(certificate, monkeypatch):
    """Against the authorities that we trust, and the name that we asked for."""
    with tls_serving(certificate, monkeypatch, answering(OK)) as url:
        assert get(url).body == b"hi"
        with pytest.raises(ConnectionFailedError, match="TLS"):
            get(url.replace("localhost", "127.0.0.1"))
        monkeypatch.delenv("SSL_CERT_FILE")
        stream.tls_context.cache_clear()
        with pytest.raises(ConnectionFailedError, match="TLS: CERTIFICATE_VERIFY_FAILED"):
            get(url)


def test_tls_works_as_plain_connections_do(certificate, monkeypatch):
    """Kept alive, in pieces, with large bodies in both directions."""
    large = b"x" * 1_000_000
    received = []

    def script(connection: socket.socket, _: int) -> None:
        for _ in range(2):
            received.append(read_request(connection))
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(large))
            connection.sendall(large)

    with tls_serving(certificate, monkeypatch, script) as url:
        connection = connection_to(url)
        for _ in range(2):
            assert connection.exchange(Request("POST", "/", body=large), Timing()).body == large
    assert all(request.endswith(large) for request in received)


def test_tls_sessions_are_resumed(certificate, monkeypatch):
    """The second handshake is a short one."""
    with tls_serving(certificate, monkeypatch, answering(CLOSING, CLOSING)) as url:
        connection = connection_to(url)
        connection.exchange(Request("GET", "/"), Timing())
        connection.exchange(Request("GET", "/"), Timing())
        assert connection.tls_was_resumed


def test_a_body_that_ends_without_tls_saying_so_is_cut_off(certificate, monkeypatch):
    """Somebody in between may have cut it (RFC 9112, section 9.8)."""

    def script(connection: ssl.SSLSocket, _: int) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\nto the")
        socket.socket.shutdown(connection, socket.SHUT_RDWR)

    with tls_serving(certificate, monkeypatch, script) as url, pytest.raises(ConnectionFailedError, match="cut off"):
        get(url)


def test_no_tls_where_tls_is_spoken():
    """A plain server, asked for TLS."""

    def script(connection: socket.socket, _: int) -> None:
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with serving(script) as url, pytest.raises(ConnectionFailedError, match="TLS"):
        get(url.replace("http://127.0.0.1", "https://localhost"))


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
