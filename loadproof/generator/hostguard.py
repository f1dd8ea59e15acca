"""Keeps what users' own code opens within the hosts that this process may load, whichever Python client it uses.

Our own transport asks by itself. A client written in C that makes system calls of its own is out of reach.
"""

from __future__ import annotations

import functools
import ipaddress
import socket
from typing import TYPE_CHECKING, Any, Final

import gevent.socket

from loadproof.errors import Problem, UnsafeTargetError
from loadproof.scenario.safety import ALLOWED_VARIABLE, may_load

if TYPE_CHECKING:
    from collections.abc import Callable

_OF_NETWORKS: Final = frozenset({socket.AF_INET, socket.AF_INET6})


class HostGuard:
    """Refuses addresses that are neither loopback nor those of a host that was named; UnsafeTargetError."""

    def __init__(self) -> None:
        self._addresses: set[str] = set()
        """Of hosts that were named, as they were resolved."""

    def install(self) -> None:
        """For every socket and name of this process, from now on."""
        modules: tuple[Any, ...] = (socket, gevent.socket)
        for module in modules:
            module.getaddrinfo = self._resolving(module.getaddrinfo)
        for name in ("connect", "connect_ex", "sendto", "sendmsg"):
            setattr(socket.socket, name, self._asked(getattr(socket.socket, name)))

    def _resolving(self, resolve: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(resolve)
        def resolve_known(host: Any, *rest: Any, **options: Any) -> Any:
            found = resolve(host, *rest, **options)
            if isinstance(host, str) and may_load(host):
                self._addresses.update(str(address[0]) for *_, address in found)
            return found

        return resolve_known

    def _asked(self, connect: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(connect)
        def connect_allowed(connecting: socket.socket, *arguments: Any) -> Any:
            if connecting.family in _OF_NETWORKS and isinstance(arguments[-1], tuple):
                self._check(str(arguments[-1][0]))
            return connect(connecting, *arguments)

        return connect_allowed

    def _check(self, host: str) -> None:
        if host not in self._addresses and not may_load(_plain(host)):
            remedy = f"if you may load it, name it with --allow-host or in {ALLOWED_VARIABLE}"
            raise UnsafeTargetError(Problem("locustfile", "this host is not on the allow list", remedy, got=host))


def _plain(host: str) -> str:
    """Without the scope of an IPv6 address, and IPv4 as such; "" is the system's word for this machine."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host or "localhost"
    mapped = getattr(address, "ipv4_mapped", None)
    # Linux takes the unspecified address for its own.
    return "localhost" if address.is_unspecified else str(mapped or address)
