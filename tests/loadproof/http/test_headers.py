"""Header names are case-insensitive, and what no header can hold is neither sent nor shown."""

from __future__ import annotations

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unpatched import locust  # isort: skip

from loadproof.http.blocking import BlockingConnection
from loadproof.http.connection import Connection
from loadproof.http.headers import UnsendableHeaderError, merged, unsendable
from loadproof.http.messages import Request, RequestTimeouts, Timing
from loadproof.http.origin import Origin
from tests.servers import Script, read_request, serving

CANARY = "c4nary-in-a-header"
CLIENTS = pytest.mark.parametrize("client", [Connection, BlockingConnection])
NAMES = st.sampled_from(["Host", "host", "HOST", "Content-Type", "content-type", "X-A", "x-a", "X-a", "X-B"])
assert locust


def noting(seen: list[bytes]) -> Script:
    def script(connection: socket.socket, _: int) -> None:
        seen.append(read_request(connection))
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    return script


def send(client, url: str, request: Request, **headers: str) -> None:
    made = client(Origin.of(url), RequestTimeouts(5.0, 5.0), source_address=None, headers=headers)
    try:
        made.exchange(request, Timing())
    finally:
        made.close()


@CLIENTS
def test_each_header_is_sent_once_with_the_spelling_and_value_given(client):
    """However the default that it overrides is spelled."""
    seen: list[bytes] = []
    wanted = {
        "host": "pay.example.test",
        "content-type": "application/vnd.pay+json",
        "accept-encoding": "gzip",
        "content-length": "999",
    }
    with serving(noting(seen)) as url:
        send(client, url, Request("POST", "/", headers=wanted, body=b"{}"), HOST="other.test")
    lines = [line.partition(b": ") for line in seen[0].partition(b"\r\n\r\n")[0].lower().split(b"\r\n")[1:]]
    names = [name for name, _, _ in lines]
    assert len(names) == len(set(names)), names
    found = {name.decode(): value.decode() for name, _, value in lines}
    assert found | wanted | {"content-length": "2"} == found


@pytest.mark.slow
@CLIENTS
@pytest.mark.parametrize(
    ("value", "told"),
    [
        (f"{CANARY}\r\nX-Admin: 1", "a line break"),
        (f"{CANARY}\n", "a line break"),
        (f"{CANARY}\0", "a control character"),
        (f"{CANARY}\x7f", "a control character"),
        (f"{CANARY}€", "a character that is not in Latin-1"),
        (f"{CANARY}\udc80", "a character that is not in Latin-1"),
    ],
)
def test_unsendable_header_values_are_reported_by_name_only(client, value, told):
    """Nothing reaches the target, and it isn't the target's failure."""
    seen: list[bytes] = []
    with serving(noting(seen)) as url, pytest.raises(UnsendableHeaderError) as caught:
        send(client, url, Request("GET", "/", headers={"X-Token": value}))
    assert str(caught.value) == f"header X-Token: there is {told} in its value"
    assert not seen


def test_a_name_that_no_header_can_have_is_not_sent():
    """It could contain a secret, so it isn't shown either."""
    with pytest.raises(UnsendableHeaderError) as caught:
        send(Connection, "http://127.0.0.1:1", Request("GET", "/", headers={f"X\r\n{CANARY}": "x"}))
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize("path", ["/a\r\nX-Admin: 1", "/€", "/a\n"])
def test_a_path_that_no_request_line_can_hold_is_not_sent(path):
    """A line break would end the request line."""
    with pytest.raises(UnsendableHeaderError, match="the path of a request"):
        send(Connection, "http://127.0.0.1:1", Request("GET", path))


@pytest.mark.slow
@given(st.lists(st.dictionaries(NAMES, st.text("ab", min_size=1)), max_size=4))
def test_merging_keeps_each_name_once_and_the_last_value(parts):
    """Like a list that is searched from its end."""
    found = merged(*parts)
    assert len({name.lower() for name in found}) == len(found)
    said = [item for part in parts for item in part.items()]
    for name, value in found.items():
        assert value == next(last for other, last in reversed(said) if other.lower() == name.lower())
    assert {name.lower() for name in found} == {name.lower() for name, _ in said}


@given(st.text())
def test_sendable_values_are_one_line_of_latin_1(value):
    """Only control characters and characters beyond Latin-1 are refused."""
    fits = all(c == "\t" or " " <= c <= "~" or "\x80" <= c <= "\xff" for c in value)
    assert (unsendable(value) is None) == fits
