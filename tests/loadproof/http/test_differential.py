"""Thousands of exchanges with a server that misbehaves in every way, compared between our transport and requests."""

from __future__ import annotations

import random
import socket
import struct
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import gevent
import gevent.pool
import pytest
import requests

from loadproof.http.connection import Connection
from loadproof.http.messages import ConnectionFailedError, Request, RequestTimeoutError, RequestTimeouts, Timing
from loadproof.http.origin import Origin
from tests.profiles import simulations
from tests.servers import read_request, serving

CASES = simulations(3000)
TIMEOUT_S = 1.0
METHODS = ("GET", "GET", "POST", "HEAD")
STATUSES = (200, 200, 200, 201, 204, 304, 404, 429, 500, 503)
FAULTS = {
    "none": lambda head, body, _: (head, body),
    "interim": lambda head, body, _: (b"HTTP/1.1 100 Continue\r\n\r\n" + head, body),
    "surplus": lambda head, body, _: (head, body + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"),
    "garbage before": lambda head, body, _: (b"\x16\x03\x01 garbage\r\n\r\n" + head, body),
    "no status": lambda head, body, _: (head.replace(b"HTTP/1.1 ", b"HTTP/1.1 x", 1), body),
    "another protocol": lambda head, body, _: (head.replace(b"HTTP/1.1", b"ICY", 1), body),
    "another version": lambda head, body, _: (head.replace(b"HTTP/1.1", b"HTTQ/1.1", 1), body),
    "http/1.0": lambda head, body, _: (head.replace(b"HTTP/1.1", b"HTTP/1.0", 1), body),
    "bare line feeds": lambda head, body, _: (head.replace(b"\r\n", b"\n"), body),
    "folded header": lambda head, body, _: (head.replace(b"\r\nX-A: b", b"\r\nX-A: b\r\n c", 1), body),
    "space before colon": lambda head, body, _: (head.replace(b"X-A:", b"X-A :", 1), body),
    "header without colon": lambda head, body, _: (head.replace(b"X-A: b", b"X-A b", 1), body),
    "null byte": lambda head, body, _: (head.replace(b"X-A: b", b"X-A: \0", 1), body),
    "wrong length": lambda head, body, dice: (
        head.replace(b"Length: ", b"Length: %d" % dice.randint(1, 9), 1),
        body,
    ),
    "signed length": lambda head, body, _: (head.replace(b"Length: ", b"Length: +", 1), body),
    "negative length": lambda head, body, _: (head.replace(b"Length: ", b"Length: -", 1), body),
    "two lengths": lambda head, body, _: (head.replace(b"X-A: b", b"Content-Length: 1", 1), body),
    "length and chunks": lambda head, body, _: (head.replace(b"X-A: b", b"Transfer-Encoding: chunked", 1), body),
    "bad chunk": lambda head, body, _: (head, body.replace(b"\r\n", b"z\r\n", 1)),
    "changed byte": lambda head, body, dice: (changed(head, dice), body),
}
REFUSED = {
    "lines that end without a carriage return, which http.client reads": {"bare line feeds"},
    "header names with spaces or without a colon, where http.client ends the headers": {
        "space before colon",
        "header without colon",
    },
    "control characters in headers, which http.client takes": {"null byte"},
    "a length with a sign, which http.client takes, or reads to the end": {"signed length", "negative length"},
    "two lengths (RFC 9112, section 6.3), of which http.client takes the first": {"two lengths"},
    "a length beside chunks, a way to smuggle; http.client lets the chunks win": {"length and chunks"},
    "what one changed byte may do of all this": {"changed byte"},
}
"""What ours refuses and requests accepts, with the faults that cause it."""
CUT_HEADERS = "ours refuses headers that are cut off; http.client takes the end of the connection for theirs"
NO_BODY = "ours reads no body after 204 and 304 (RFC 9112, section 6.3); urllib3 waits for chunks that are told"
AT_ONCE = "ours refuses at once what can't become HTTP; http.client waits for the end of the line"


def changed(head: bytes, dice: random.Random) -> bytes:
    at = dice.randrange(len(head))
    return head[:at] + bytes([dice.randrange(256)]) + head[at + 1 :]


@dataclass(frozen=True)
class Case:
    """What the server does in response to one request."""

    method: str
    fault: str
    framing: str
    pieces: tuple[bytes, ...]
    pause_s: float
    ending: str


def make_case(number: int) -> Case:
    dice = random.Random(f"differential/{number}")
    body = bytes(dice.randrange(256) for _ in range(dice.choice((0, 1, 20, 5000))))
    method, status, framing = dice.choice(METHODS), dice.choice(STATUSES), dice.choice(("length", "chunked", "close"))
    head = b"HTTP/1.1 %d Whatever\r\nX-A: b\r\n" % status
    if framing == "length":
        head += b"Content-Length: %d\r\n" % len(body)
    elif framing == "chunked":
        head += b"Transfer-Encoding: chunked\r\n"
        size = dice.choice((1, 7, 4096)) if len(body) < 100 else 999
        chunks = [body[start : start + size] for start in range(0, len(body), size)]
        body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    fault = dice.choice(("none", *FAULTS))
    head, body = FAULTS[fault](head + b"\r\n", b"" if method == "HEAD" or status in {204, 304} else body, dice)
    raw = head + body
    if dice.random() < 0.2:
        raw = raw[: dice.randrange(len(raw) + 1)]
    split = dice.choice(("whole", "bytes", "cut"))
    if split == "bytes" and len(raw) < 400:
        pieces = [raw[at : at + 1] for at in range(len(raw))]
    elif split == "cut":
        at = dice.randrange(len(raw) + 1)
        pieces = [raw[:at], raw[at:]]
    else:
        pieces = [raw]
    pause_s = dice.choice((0.0, 0.0, 0.001 if len(pieces) > 2 else 0.05))
    return Case(method, fault, framing, tuple(pieces), pause_s, dice.choice(("close", "close", "open", "reset")))


def play(cases: list[Case]):
    def script(connection: socket.socket, _: int) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        number = int(read_request(connection).split(b" ")[1][1:])
        case = cases[number]
        for piece in case.pieces:
            connection.sendall(piece)
            time.sleep(case.pause_s)
        if case.ending == "open":
            connection.settimeout(2 * TIMEOUT_S)
            connection.recv(1)
        elif case.ending == "reset":
            # By then, everything sent before has arrived.
            time.sleep(0.05)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return script


def through_ours(url: str, case: Case, number: int) -> tuple:
    connection = Connection(Origin.of(url), RequestTimeouts(5.0, TIMEOUT_S))
    try:
        answer = connection.exchange(Request(case.method, f"/{number}"), Timing())
    except RequestTimeoutError:
        return ("timeout",)
    except ConnectionFailedError as error:
        return ("connection", str(error))
    finally:
        connection.close()
    return ("answer", answer.status, answer.body)


def through_requests(url: str, case: Case, number: int) -> tuple:
    try:
        with requests.Session() as session:
            session.trust_env = False
            answer = session.request(case.method, f"{url}/{number}", timeout=(5.0, TIMEOUT_S))
    except requests.Timeout:
        return ("timeout",)
    except (requests.RequestException, ValueError) as error:
        # A read that times out within a body is raised as a ConnectionError.
        return ("timeout",) if "timed out" in str(error) else ("connection", str(error))
    return ("answer", answer.status_code, answer.content)


def reason(case: Case, ours: tuple, theirs: tuple) -> str | None:
    """Why the two may differ here."""
    if ours == ("connection", "closed within the headers") and theirs[0] == "answer":
        return CUT_HEADERS
    if ours[0] == "answer" and ours[1] in {204, 304} and b"chunked" in b"".join(case.pieces):
        return NO_BODY
    if (
        ours[0] == "connection"
        and theirs[0] == "timeout"
        and case.fault in {"garbage before", "another protocol", "another version"}
    ):
        return AT_ONCE
    return next((why for why, faults in REFUSED.items() if case.fault in faults and ours[0] == "connection"), None)


def is_same(ours: tuple, theirs: tuple) -> bool:
    """Failures may differ in their text."""
    return ours == theirs if ours[0] == "answer" else ours[0] == theirs[0]


def is_unexplained(url: str, case: Case, number: int, ours: tuple, theirs: tuple) -> bool:
    """On a busy machine, one of them may run out of time: then both try again, three times at most."""
    for _ in range(3):
        if is_same(ours, theirs) or reason(case, ours, theirs):
            return False
        if ("timeout",) not in {ours, theirs}:
            return True
        ours, theirs = through_ours(url, case, number), through_requests(url, case, number)
    return True


@pytest.mark.long
@pytest.mark.process
@pytest.mark.filterwarnings("ignore")  # urllib3 logs what it thinks of the headers
def test_outcomes_agree_with_requests_or_differ_for_a_known_reason():
    """Every answer, timeout and failed connection."""
    cases = [make_case(number) for number in range(CASES)]
    reasons: Counter[str] = Counter()
    unexplained = []
    with serving(play(cases)) as url:
        pool = gevent.pool.Pool(100)
        greenlets = [pool.spawn(through_ours, url, case, number) for number, case in enumerate(cases)]
        pool.join()
        with ThreadPoolExecutor(40) as threads:
            theirs = list(threads.map(lambda one: through_requests(url, one[1], one[0]), enumerate(cases)))
        for number, (case, greenlet, their) in enumerate(zip(cases, greenlets, theirs, strict=True)):
            our = greenlet.get()
            if is_same(our, their):
                continue
            if why := reason(case, our, their):
                reasons[why] += 1
            elif is_unexplained(url, case, number, our, their):
                unexplained.append((number, case, our, their))
    assert unexplained == []
    assert set(reasons) == {*REFUSED, CUT_HEADERS, NO_BODY, AT_ONCE}, "a reason that explains nothing any more"


@pytest.mark.slow
def test_the_server_misbehaves_in_every_way():
    """Each fault, split and ending comes up often enough to matter."""
    cases = [make_case(number) for number in range(CASES)]
    for counts in (
        Counter(case.fault for case in cases),
        Counter(case.ending for case in cases),
        Counter(case.framing for case in cases),
        Counter(min(len(case.pieces), 3) for case in cases if case.pieces),
    ):
        assert min(counts.values()) > CASES / 60
