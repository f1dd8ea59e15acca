"""What is sent to a proxy reveals where it is to connect to; what is sent to other servers reveals nothing."""

from __future__ import annotations

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadproof.generator.guards.proxytalk import asked_for

ASKED = {
    "a tunnel": (b"CONNECT prod.example:443 HTTP/1.1\r\nHost: prod.example\r\n\r\n", ("prod.example", 443)),
    "a tunnel by address": (b"CONNECT [2001:db8::1]:443 HTTP/1.0\r\n\r\n", ("2001:db8::1", 443)),
    "the absolute form": (b"GET http://prod.example/a?b HTTP/1.1\r\nHost: x\r\n\r\n", ("prod.example", 80)),
    "with a port and a password": (b"POST https://u:p@prod.example:8443 HTTP/1.1\r\n", ("prod.example", 8443)),
    "SOCKS 5, a name": (b"\x05\x01\x00\x03\x0cprod.example\x01\xbb", ("prod.example", 443)),
    "SOCKS 5, IPv4": (b"\x05\x01\x00\x01\xc0\x00\x02\x01\x00\x50", ("192.0.2.1", 80)),
    "SOCKS 5, IPv6": (
        b"\x05\x01\x00\x04" + socket.inet_pton(socket.AF_INET6, "2001:db8::1") + b"\x00\x50",
        ("2001:db8::1", 80),
    ),
    "SOCKS 4": (b"\x04\x01\x00\x50\xc0\x00\x02\x01me\x00", ("192.0.2.1", 80)),
    "SOCKS 4a": (b"\x04\x01\x00\x50\x00\x00\x00\x01\x00prod.example\x00", ("prod.example", 80)),
}
OTHERS = {
    "an ordinary request": b"GET /a?to=http://prod.example HTTP/1.1\r\nHost: x\r\n\r\n",
    "a body": b'{"text": "GET http://prod.example/ HTTP/1.1"}',
    "a line of a log": b"GET http://prod.example/ HTTP/1.1 200\n",
    "the greeting of SOCKS 5": b"\x05\x01\x00",
    "more than SOCKS 5 has": b"\x05\x01\x00\x01\xc0\x00\x02\x01\x00\x50\x00",
    "another command": b"\x05\x02\x00\x01\xc0\x00\x02\x01\x00\x50",
    "less than SOCKS 4 has": b"\x04\x01\x00\x50\xc0\x00\x02\x01me",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00",
    "Redis": b"*1\r\n$4\r\nPING\r\n",
    "nothing": b"",
    "no address": b"CONNECT [::1 HTTP/1.1\r\n\r\n",
    "no port": b"CONNECT prod.example:99999 HTTP/1.1\r\n\r\n",
}


@pytest.mark.parametrize(("sent", "place"), ASKED.values(), ids=ASKED)
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_the_destination_asked_of_a_proxy_is_read(sent, place, kind):
    """From any kind of buffer."""
    assert asked_for(kind(sent)) == place


@pytest.mark.parametrize("sent", OTHERS.values(), ids=OTHERS)
def test_requests_to_a_server_have_no_other_destination(sent):
    """Even if they look similar."""
    assert asked_for(sent) is None


@given(st.binary(max_size=40), st.sampled_from([b"", b"\x05\x01\x00", b"\x04\x01", b"CONNECT ", b"GET http://"]))
def test_no_content_raises_an_error(sent, start):
    """In a client that has nothing to do with proxies."""
    found = asked_for(start + sent)
    assert found is None or isinstance(found[0], str)
