"""Parses lists of networks, one per line, into sets with fast look-up of addresses."""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from payments_api.values import Network

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_MAPPED: Final = ipaddress.IPv6Network("::ffff:0:0/96")
_MOST_ERRORS: Final = 5
_WIDEST: Final = {4: 8, 6: 16}
"""Shortest prefix that may be trusted or allowed, by IP version: a wider network contains strangers."""
_PRIVATE: Final = ipaddress.IPv6Network("fc00::/7")
"""Not routed on the internet. Source: RFC 4193."""


def plain(address: Address) -> Address:
    """An IPv4 address that a dual-stack socket shows mapped into IPv6, as IPv4. Source: RFC 4291, 2.5.5.2."""
    return getattr(address, "ipv4_mapped", None) or address


def is_too_wide(network: Network) -> bool:
    """Whether it is too wide to be meant, like 0.0.0.0/0 or its equivalent ::ffff:0:0/96."""
    plain_network = _plain_network(network)
    is_private = isinstance(plain_network, ipaddress.IPv6Network) and plain_network.subnet_of(_PRIVATE)
    return plain_network.prefixlen < _WIDEST[plain_network.version] and not is_private


class NetworkSet:
    """One set of prefixes per prefix length, so a look-up takes one step per distinct length."""

    def __init__(self, networks: Iterable[Network] = ()) -> None:
        by_length: dict[int, dict[int, set[int]]] = {4: defaultdict(set), 6: defaultdict(set)}
        self._size = 0
        for network in map(_plain_network, networks):
            shift = network.max_prefixlen - network.prefixlen
            by_length[network.version][shift].add(int(network.network_address) >> shift)
        self._prefixes = {version: list(lengths.items()) for version, lengths in by_length.items()}
        self._size = sum(len(prefixes) for lengths in self._prefixes.values() for _, prefixes in lengths)

    def __len__(self) -> int:
        return self._size

    def __contains__(self, address: Address) -> bool:
        """`address` must have gone through `plain`."""
        number = int(address)
        return any(number >> shift in prefixes for shift, prefixes in self._prefixes[address.version])


def _plain_network(network: Network) -> Network:
    if isinstance(network, ipaddress.IPv6Network) and network.subnet_of(_MAPPED):
        mapped = network.network_address.ipv4_mapped
        return ipaddress.IPv4Network(f"{mapped}/{network.prefixlen - 96}")
    return network


def parse_allowed(text: str) -> NetworkSet:
    """Like `parse_networks`, for the allow list: networks that are too wide are errors."""
    return parse_networks(text, check=_check_width)


def parse_networks(text: str, *, check: Callable[[Network], None] = lambda _: None) -> NetworkSet:
    """One network or address per line; `#` starts a comment. ValueError names the invalid lines.

    A list without entries is valid and contains nobody. `check` raises ValueError with a remedy.
    """
    networks: list[Network] = []
    errors: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        content = line.partition("#")[0].strip()
        if not content:
            continue
        try:
            network = ipaddress.ip_network(content)
        except ValueError:
            errors.append(f"line {number}: got {content[:60]!a}; {_remedy(content)}")
            continue
        try:
            check(network)
        except ValueError as error:
            errors.append(f"line {number}: got {content!a}; {error}")
        else:
            networks.append(network)
    if errors:
        more = f"; and {len(errors) - _MOST_ERRORS} more" if len(errors) > _MOST_ERRORS else ""
        raise ValueError("; ".join(errors[:_MOST_ERRORS]) + more)
    return NetworkSet(networks)


def _check_width(network: Network) -> None:
    if is_too_wide(network):
        raise ValueError("limits and bot rules would hold for nobody; allow the networks that you know")


def _remedy(content: str) -> str:
    try:
        return f"did you mean {ipaddress.ip_network(content, strict=False)}?"
    except ValueError:
        return "write a network like 10.0.0.0/8 or 2001:db8::/32"
