"""However its path is written, a request counts against the same limit."""

from __future__ import annotations

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drills.target import running_target
from payments_api.protection.options import ENDPOINTS, MONITORING
from payments_api.protection.paths import Places
from tests.addresses import session_from

PLACES = Places(ENDPOINTS, monitoring=MONITORING)
OF_BALANCE = [
    "/balance/acct-000001",
    "/balance/acct-000002",
    "/balance",
    "/balance/",
    "/balance/acct-000001/",
    "/balance/acct-000001/more/and/more",
    "//balance/acct-000001",
    "///balance//acct-000001",
    "/./balance/acct-000001",
    "/x/../balance/acct-000001",
    "/health/../balance/acct-000001",
    "/balance/./acct-000001",
    "/Balance/acct-000001",
    "/BALANCE/acct-000001",
    "/%62alance/acct-000001",
    "/%2562alance/acct-000001",
    "/%2e/balance/acct-000001",
    "/%2E%2E/balance/acct-000001",
    "/balance%2facct-000001",
    "/balance/acct-000001%00",
    "/balance;v=1/acct-000001",
    "/balance/acct-000001?x=1",
    "/balance/acct-000001?x=/health",
    "/%5cbalance/acct-000001",
    "/balance%20/acct-000001",
]
POSTED = ["/transactions", "/webhooks/standard", "/webhooks/stranger", "/webhooks/"]
BODIES = [b"", b"garbage", b"\xff\xfe", b'{"amount":', b"[" * 10_000]
METHODS = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "PATCH", "TRACE"]


def send(url: str, address: str, head: str, body: bytes = b"") -> tuple[int, bytes]:
    """Send exactly this request, whose path no client normalises; returns the status and the whole answer."""
    host, _, port = url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10, source_address=(address, 0)) as connection:
        lines = f"{head} HTTP/1.1\r\nHost: target\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(lines.encode("latin-1") + body)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    return int(answer.split(b" ", 2)[1]), answer


@pytest.fixture(scope="module")
def limited():
    limits = {f"LIMIT_{name}": "3/min" for name in ("HEALTH", "BALANCE", "TRANSACTIONS", "WEBHOOKS", "OTHER")}
    with running_target(**limits) as target:
        yield target


def exhaust(url: str, address: str, path: str) -> None:
    with session_from(address) as session:
        assert [session.get(url + path, timeout=5).status_code for _ in range(4)][-1] == 429


@pytest.mark.process
@pytest.mark.parametrize("path", OF_BALANCE)
def test_no_spelling_of_a_path_bypasses_the_limit(limited, path):
    """Once the limit is used up, each is refused; and each counts against it."""
    number = OF_BALANCE.index(path)
    exhaust(limited.url, f"127.5.1.{number + 1}", "/balance/acct-000001")
    assert send(limited.url, f"127.5.1.{number + 1}", f"GET {path}")[0] == 429
    statuses = [send(limited.url, f"127.5.2.{number + 1}", f"GET {path}")[0] for _ in range(4)]
    assert 429 not in statuses[:3]
    assert statuses[3] == 429
    assert send(limited.url, f"127.5.2.{number + 1}", "GET /balance/acct-000001")[0] == 429


@pytest.mark.process
@pytest.mark.parametrize("method", METHODS)
def test_no_method_bypasses_the_limit(limited, method):
    """Whether the route accepts it or not; a HEAD is refused without a body."""
    address = f"127.5.3.{METHODS.index(method) + 1}"
    for path in ("/balance/acct-000001", "/transactions"):
        statuses = [send(limited.url, address, f"{method} {path}")[0] for _ in range(3)]
        assert 429 not in statuses
        status, answer = send(limited.url, address, f"GET {path}")
        assert status == 429
        status, answer = send(limited.url, address, f"{method} {path}")
        assert status == 429
        assert (answer.partition(b"\r\n\r\n")[2] == b"") is (method == "HEAD")


@pytest.mark.process
@pytest.mark.parametrize("path", POSTED)
@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_requests_with_invalid_bodies_count(limited, path, body):
    """Route decorators would come too late."""
    address = f"127.5.4.{1 + POSTED.index(path) * len(BODIES) + BODIES.index(body)}"
    statuses = [send(limited.url, address, f"POST {path}", body)[0] for _ in range(4)]
    assert 429 not in statuses[:3]
    assert statuses[3] == 429


@pytest.mark.process
def test_paths_that_are_no_endpoint_share_one_limit(limited):
    """A scanner is refused soon, and doesn't get a limit per path."""
    paths = ["/", "/admin", "/.env", "/openapi.json", "/metrics/", "/Metrics", "//metrics", "/docs"]
    assert [send(limited.url, "127.5.5.1", f"GET {path}")[0] == 429 for path in paths] == [False] * 3 + [True] * 5
    assert send(limited.url, "127.5.5.1", "GET /balance/acct-000001")[0] == 200


@pytest.mark.process
def test_only_exact_monitoring_paths_are_unlimited(limited):
    """And only for reading: similar paths count."""
    for path in ("/health/ready/", "/health/READY", "/health/live", "/health/ready/x"):
        send(limited.url, "127.5.6.1", f"GET {path}")
    assert send(limited.url, "127.5.6.1", "GET /health")[0] == 429
    for _ in range(4):
        send(limited.url, "127.5.6.2", "POST /metrics")
    assert send(limited.url, "127.5.6.2", "GET /admin")[0] == 429
    assert [send(limited.url, "127.5.6.1", "GET /metrics")[0] for _ in range(5)] == [200] * 5
    assert [send(limited.url, "127.5.6.1", "GET /health/ready")[0] for _ in range(5)] == [200] * 5


@pytest.mark.process
def test_a_websocket_does_not_bypass_the_limit(limited):
    """The target has none, but each attempt costs work."""
    upgrade = (
        "GET /balance/acct-000001 HTTP/1.1\r\nHost: target\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    host, _, port = limited.url.removeprefix("http://").partition(":")
    for _ in range(3):
        with socket.create_connection((host, int(port)), timeout=5, source_address=("127.5.7.1", 0)) as connection:
            connection.sendall(upgrade.encode())
            assert connection.recv(65536).startswith(b"HTTP/1.1 403")
    assert send(limited.url, "127.5.7.1", "GET /balance/acct-000001")[0] == 429


@given(path=st.text(max_size=80))
def test_any_path_has_an_endpoint(path):
    """One of five, always the same."""
    endpoint = PLACES.endpoint_of("/" + path)
    assert endpoint in {*ENDPOINTS, "other"}
    assert PLACES.endpoint_of("/" + path) == endpoint


@given(
    prefix=st.lists(st.sampled_from(["/", "./", "../", "x/../", "%2e/", "//"]), max_size=5),
    endpoint=st.sampled_from(ENDPOINTS),
    upper=st.booleans(),
    rest=st.sampled_from(["", "/", "/a", "/a/b", "//a", "/./a"]),
)
def test_any_combination_of_tricks_counts_against_the_same_limit(prefix, endpoint, upper, rest):
    """As long as the path leads to that endpoint at all."""
    name = endpoint.upper() if upper else endpoint
    assert PLACES.endpoint_of("/" + "".join(prefix) + name + rest) == endpoint
