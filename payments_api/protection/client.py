"""Determines who sent a request: the peer, or whom a trusted proxy names in the one configured header."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from payments_api.protection.networks import Address, NetworkSet, plain

if TYPE_CHECKING:
    from starlette.types import Scope

    from payments_api.values import Network

_FORWARDED_FOR: Final = "x-forwarded-for"
_OF_ADDRESSES: Final = frozenset({"fly-client-ip", "cf-connecting-ip", "true-client-ip", "x-real-ip"})
"""Headers that contain an address, or are not believed; any other may also contain a name."""
_LONGEST: Final = 100
_MOST_HOPS: Final = 50
_REMEMBERED: Final = 16_384
_SUBSCRIBER_BITS: Final = 64


class Client(NamedTuple):
    key: str
    """What limits and penalties go by: an IPv4 address, an IPv6 /64 network, or a proxy's name for the client."""
    address: Address | None
    """What lists go by; None if no address is known."""


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
    """A subscriber has a whole IPv6 /64 and could send each request from a different address in it.

    Source: RFC 6177, section 2.
    """
    if address.version == 4:
        return Client(str(address), address)
    network = ipaddress.ip_network((int(address) >> _SUBSCRIBER_BITS << _SUBSCRIBER_BITS, _SUBSCRIBER_BITS))
    return Client(str(network), address)


class Clients:
    """`header` is believed if the peer, and for X-Forwarded-For each hop closer to us, is in `trusted`."""

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
        """Whom a connection belongs to, before its headers are read; None for a proxy, which has many."""
        peer = _parsed(host)
        if peer is None:
            return host
        return None if self._header and peer in self._trusted else _by_address(peer).key

    def has_header(self, scope: Scope) -> bool:
        """Whoever sent it, and whatever it says."""
        return any(name == self._header_bytes for name, _ in scope["headers"])

    def _named(self, text: str, peer: Address) -> Client:
        """The last of several lines is the proxy's own: it can only have been added by one that we trust."""
        address = _parsed(text) if len(text) <= _LONGEST else None
        if address is not None:
            return _by_address(address)
        is_name = text and self._header not in _OF_ADDRESSES
        return Client(text[:_LONGEST], peer) if is_name else _by_address(peer)

    def _forwarded(self, hops: str, peer: Address) -> Address:
        """The rightmost that is not trusted: anything left of it was written by strangers."""
        nearest = peer
        for hop in reversed(hops.rsplit(",", _MOST_HOPS)):
            address = _parsed(hop) if len(hop) <= _LONGEST else None
            if address is None:
                return nearest
            nearest = address
            if address not in self._trusted:
                return address
        return nearest
