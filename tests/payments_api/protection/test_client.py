"""Identification of clients: headers of strangers change nothing, those of trusted proxies do."""

from __future__ import annotations

import ipaddress

import pytest

from payments_api.protection.client import Clients

TRUSTED = tuple(map(ipaddress.ip_network, ("10.0.0.0/8", "fdaa::/16")))


def key(clients: Clients, peer: str, *headers: tuple[str, str]) -> str:
    lines = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    return clients.of({"type": "http", "client": (peer, 1234), "headers": lines}).key


PEER = Clients()
FLY = Clients("Fly-Client-IP", TRUSTED)
FORWARDED = Clients("X-Forwarded-For", TRUSTED)
NAMED = Clients("X-Loadproof-Client", TRUSTED)


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Fly-Client-IP", "X-Real-IP", "Forwarded", "X-Client"])
def test_without_a_configured_header_the_peer_is_the_client(header):
    """Whatever headers it sends."""
    assert key(PEER, "203.0.113.5", (header, "1.1.1.1")) == "203.0.113.5"


@pytest.mark.parametrize("clients", [FLY, FORWARDED, NAMED])
@pytest.mark.parametrize("header", ["Fly-Client-IP", "X-Forwarded-For", "X-Loadproof-Client"])
def test_a_stranger_is_not_believed(clients, header):
    """The header only counts from trusted networks."""
    assert key(clients, "203.0.113.5", (header, "1.1.1.1")) == "203.0.113.5"


@pytest.mark.parametrize(
    ("lines", "client"),
    [
        (["198.51.100.1"], "198.51.100.1"),
        ([" 198.51.100.1 "], "198.51.100.1"),
        (["::ffff:198.51.100.1"], "198.51.100.1"),
        (["2001:db8:1:2:3:4:5:6"], "2001:db8:1:2::/64"),
        # A stranger's line before the proxy's.
        (["6.6.6.6", "198.51.100.1"], "198.51.100.1"),
        ([], "10.0.0.1"),
        ([""], "10.0.0.1"),
        (["localhost"], "10.0.0.1"),
        (["1.1.1.1, 2.2.2.2"], "10.0.0.1"),
        (["9" * 5000], "10.0.0.1"),
    ],
)
def test_flys_header_is_one_address_or_not_believed(lines, client):
    """A value that isn't an address doesn't make anyone a new client."""
    assert key(FLY, "10.0.0.1", *(("Fly-Client-IP", line) for line in lines)) == client


@pytest.mark.parametrize(
    ("lines", "client"),
    [
        (["198.51.100.1"], "198.51.100.1"),
        (["6.6.6.6, 198.51.100.1"], "198.51.100.1"),
        (["6.6.6.6, 198.51.100.1, 10.0.0.2"], "198.51.100.1"),
        (["6.6.6.6", "198.51.100.1", "10.0.0.2, fdaa::9"], "198.51.100.1"),
        (["198.51.100.1:4711"], "198.51.100.1"),
        (["[2001:db8::1]:4711, 10.0.0.3"], "2001:db8::/64"),
        # A stranger who claims to be one of the proxies gains nothing.
        (["10.0.0.9, 198.51.100.1"], "198.51.100.1"),
        (["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        (["198.51.100.1, unknown"], "10.0.0.1"),
        (["198.51.100.1, garbage, 10.0.0.2"], "10.0.0.2"),
        (["198.51.100.1,"], "10.0.0.1"),
        ([], "10.0.0.1"),
        (["1.1.1.1, " * 10_000 + "198.51.100.1"], "198.51.100.1"),
    ],
)
def test_the_rightmost_untrusted_forwarded_address_counts(lines, client):
    """Anything left of it was written by strangers; an unreadable address ends the search."""
    assert key(FORWARDED, "10.0.0.1", *(("X-Forwarded-For", line) for line in lines)) == client


def test_the_ipv6_addresses_of_a_subscriber_are_one_client():
    """A subscriber has 2^64 of them; neighbours are other clients."""
    keys = {key(PEER, f"2001:db8:0:1::{number:x}") for number in range(1, 200)}
    assert keys == {"2001:db8:0:1::/64"}
    assert key(PEER, "2001:db8:0:2::1") not in keys


@pytest.mark.parametrize("peer", ["198.51.100.1", "::ffff:198.51.100.1", "::ffff:c633:6401"])
def test_an_ipv4_address_is_one_client_on_any_socket(peer):
    """Mapped into IPv6 or not."""
    assert key(PEER, peer) == "198.51.100.1"


def test_a_name_given_by_a_trusted_proxy_is_a_client_with_the_proxys_address():
    """Names have no address, so lists use the peer's; long names are cut, or one could fill the memory."""
    scope = {"type": "http", "client": ("10.0.0.1", 1), "headers": [(b"x-loadproof-client", b"c" * 1000)]}
    client = NAMED.of(scope)
    assert client.key == "c" * 100
    assert client.address == ipaddress.ip_address("10.0.0.1")


def test_a_peer_without_an_address_is_one_client():
    """As on a Unix socket."""
    assert PEER.of({"type": "http", "client": None, "headers": []}).key == "unknown"
