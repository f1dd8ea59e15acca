"""Determines the client of a request: the peer, or the client that a trusted proxy names in the configured header."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from payments_api.protection.lists.networks import Address, NetworkSet, plain

if TYPE_CHECKING:
    from starlette.types import Scope

    from payments_api.values import Network

_FORWARDED_FOR: Final = "x-forwarded-for"
_OF_ADDRESSES: Final = frozenset({"fly-client-ip", "cf-connecting-ip", "true-client-ip", "x-real-ip"})
"""Headers that must contain an address to be believed; any other may also contain a name."""
_LONGEST: Final = 100
_MOST_HOPS: Final = 50
_REMEMBERED: Final = 16_384
_SUBSCRIBER_BITS: Final = 64


class Client(NamedTuple):
    key: str
    """Identifies the client to limits and penalties: an IPv4 address, IPv6 /64 network, or a proxy's name for it."""
    address: Address | None
    """The address that lists are checked for; None if unknown."""


@lru_cache(_REMEMBERED)
def _parsed(text: str) -> Address | None:
    """An address as proxies write it, with or without a port; None if it isn't one."""
    host = text.strip()
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        return plain(ipaddress.ip_address(host.partition("%")[0]))
    except ValueError:
        return None


@lru_cache(_REMEMBERED)
def _by_address(address: Address) -> Client:
    """One client per IPv4 address or IPv6 /64: a subscriber could send each request from another address of its /64.

    Source: RFC 6177, section 2.
    """
    if address.version == 4:
        return Client(str(address), address)
    network = ipaddress.ip_network((int(address) >> _SUBSCRIBER_BITS << _SUBSCRIBER_BITS, _SUBSCRIBER_BITS))
    return Client(str(network), address)


class Clients:
    """Believes `header` if the peer is in `trusted` and, for X-Forwarded-For, so is each hop closer to us."""

    def __init__(self, header: str = "", trusted: Iterable[Network] = ()) -> None:
        self._header = header.lower()
        self._header_bytes = self._header.encode("latin-1")
        self._trusted = NetworkSet(trusted)

    def of(self, scope: Scope) -> Client:
        peer_text: str = scope["client"][0] if scope.get("client") else "unknown"
        peer = _parsed(peer_text)
        if peer is None:
            return Client(peer_text, None)
        if not self._header or peer not in self._trusted:
            return _by_address(peer)
        lines = [value.decode("latin-1") for name, value in scope["headers"] if name == self._header_bytes]
        if self._header == _FORWARDED_FOR:
            return _by_address(self._forwarded(",".join(lines), peer))
        return self._named(lines[-1].strip(), peer) if lines else _by_address(peer)

    def peer_key(self, host: str) -> str | None:
        """The key of a connection's client, before headers are read; None for a trusted proxy, which serves many."""
        peer = _parsed(host)
        if peer is None:
            return host
        return None if self._header and peer in self._trusted else _by_address(peer).key

    def has_header(self, scope: Scope) -> bool:
        """Whether the request has the client header, no matter who sent it or what it says."""
        return any(name == self._header_bytes for name, _ in scope["headers"])

    def _named(self, text: str, peer: Address) -> Client:
        """The client that the header names; its last line is the one to use: only a trusted proxy can have added it."""
        address = _parsed(text) if len(text) <= _LONGEST else None
        if address is not None:
            return _by_address(address)
        is_name = text and self._header not in _OF_ADDRESSES
        return Client(text[:_LONGEST], peer) if is_name else _by_address(peer)

    def _forwarded(self, hops: str, peer: Address) -> Address:
        """The rightmost hop that is not trusted: anything left of it was written by strangers."""
        nearest = peer
        for hop in reversed(hops.rsplit(",", _MOST_HOPS)):
            address = _parsed(hop) if len(hop) <= _LONGEST else None
            if address is None:
                return nearest
            nearest = address
            if address not in self._trusted:
                return address
        return nearest
