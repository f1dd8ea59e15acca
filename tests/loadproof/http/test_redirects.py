"""Redirects are answers, or are followed on request, but never to another host."""

from __future__ import annotations

import socket

import pytest

from loadproof.http.answers import Answer
from loadproof.http.client import ClientConnections
from loadproof.http.messages import Request, Timing
from loadproof.http.origin import Origin
from tests.loadproof.http.connections import connection_to
from tests.servers import Script, read_request, serving


def redirecting(*locations: str, status: int = 302) -> Script:
    """Redirects each request to the next location; after the last, answers with the request's first line and body."""

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


class Sent:
    """A connection with prepared answers."""

    def __init__(self, base_url: str, *answers: Answer) -> None:
        self.origin = Origin.of(base_url)
        self.requests: list[Request] = []
        self.marks: dict[int, str] = {}
        """By the number of a request, from 1."""
        self._answers = list(answers)

    def exchange(self, request: Request, timing: Timing) -> Answer:
        self.requests.append(request)
        if mark := self.marks.get(len(self.requests)):
            timing.is_marked = True
            setattr(timing, mark, True)
        return self._answers.pop(0)


def follow(url: str, request: Request, timing: Timing | None = None) -> Answer:
    return ClientConnections(lambda: connection_to(url)).exchange(request, timing or Timing())


def test_redirects_are_answers():
    """Unless following them was requested."""
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
    """Relative to the request's URL, and escaped."""
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


def test_redirects_to_another_host_are_not_followed():
    """It might be a host that must not be loaded."""
    for location in ("http://192.0.2.1/", "//192.0.2.1/", "https://127.0.0.1/", "http://127.0.0.1:1/"):
        with serving(redirecting(location)) as url:
            assert follow(url, Request("GET", "/", follow_redirects=True)).status == 302


def test_endless_redirects_end():
    """After as many as browsers follow; the last one is an answer like any other."""
    with serving(redirecting(*[f"/{number}" for number in range(30)])) as url:
        answer = follow(url, Request("GET", "/", follow_redirects=True))
    assert (answer.status, answer.headers["location"]) == (302, "/20")


@pytest.mark.parametrize(
    ("base", "location", "is_followed"),
    [
        ("http://shop.example", "http://shop.example:80/x", True),
        ("http://shop.example:8000", "http://SHOP.example:8000/x", True),
        ("https://Shop.Example", "HTTPS://shop.example:443/x", True),
        ("http://shop.example", "http://shop.example:8000/x", False),
        ("http://shop.example", "http://me@shop.example/x", False),
        ("http://shop.example", "http://shop.example:99999/x", False),
        ("http://shop.example:443", "https://shop.example/x", False),
    ],
)
def test_an_origin_is_the_same_however_it_is_written(base, location, is_followed):
    """A server may name the default port; RFC 3986, section 6.2.3."""
    sent = Sent(base, Answer(302, {"location": location}), Answer(200, {}))
    answer = ClientConnections(lambda: sent).exchange(Request("GET", "/", follow_redirects=True), Timing())
    assert (answer.status, [request.path for request in sent.requests]) == (
        (200, ["/", "/x"]) if is_followed else (302, ["/"])
    )


@pytest.mark.parametrize("mark", ["is_repeated", "has_surplus"])
def test_marks_of_any_step_of_a_redirect_are_kept(mark):
    """That the request was sent twice, or that more than its answer was received."""
    sent = Sent("http://shop.example", Answer(302, {"location": "/x"}), Answer(200, {}))
    sent.marks = {2: mark}
    timing = Timing()
    ClientConnections(lambda: sent).exchange(Request("GET", "/", follow_redirects=True), timing)
    assert timing.is_marked
    assert getattr(timing, mark)
