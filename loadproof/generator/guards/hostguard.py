"""Restricts connections of users' own code to the hosts that this process may load, whichever Python client it uses.

Our own transport checks hosts itself. A client written in C that makes its own system calls is out of reach.
"""

from __future__ import annotations

import functools
import ipaddress
import os
import socket
from typing import TYPE_CHECKING, Any, Final

import gevent.socket
from gevent.monkey import get_original
from urllib3 import ProxyManager

from loadproof.errors import Problem, UnsafeTargetError
from loadproof.generator.guards.proxytalk import asked_for
from loadproof.httpuser.terms import check_proxy
from loadproof.scenario.safety import ALLOWED_VARIABLE, may_load

if TYPE_CHECKING:
    from collections.abc import Callable

_OF_NETWORKS: Final = frozenset({socket.AF_INET, socket.AF_INET6})
_SENDING: Final = ("connect", "connect_ex", "sendto", "sendmsg")
_PROXIES: Final = ("http_proxy", "https_proxy", "all_proxy")


class HostGuard:
    """Refuses, with UnsafeTargetError, addresses that are neither loopback nor those of an allowed host."""

    def __init__(self) -> None:
        self._addresses: set[str] = set()
        """Addresses that allowed hosts were resolved to."""

    def install(self) -> None:
        """Check every socket and name lookup of this process from now on.

        Removes proxies from the environment: a connection to a proxy may lead anywhere.
        """
        for variable in [name for name in os.environ if name.lower() in _PROXIES]:
            del os.environ[variable]
        modules: tuple[Any, ...] = (socket, gevent.socket)
        for module in modules:
            module.getaddrinfo = self._resolving(module.getaddrinfo)
        # Both gevent's sockets and the original ones, which threads still use.
        for cls in {socket.socket, gevent.socket.socket, get_original("socket", "socket")}:
            for name in _SENDING:
                setattr(cls, name, self._asked(getattr(cls, name)))
        # Our own transport sends with the original class, and checks hosts itself.
        for cls in {socket.socket, gevent.socket.socket}:
            for name in ("send", "sendall"):
                setattr(cls, name, self._read(getattr(cls, name)))
        # Also within requests: behind a proxy, sockets only show the proxy's address.
        ProxyManager.connection_from_host = _behind_known(ProxyManager.connection_from_host)  # type: ignore[method-assign]

    def _resolving(self, resolve: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(resolve)
        def resolve_known(host: Any, *rest: Any, **options: Any) -> Any:
            resolved = resolve(host, *rest, **options)
            name = host.decode() if isinstance(host, bytes) else host
            # This machine may always be loaded, by whatever name.
            addresses = {str(address[0]) for *_, address in resolved if not may_load(_plain(str(address[0])))}
            if name and may_load(name):
                self._addresses |= addresses
            elif name and name not in addresses and not addresses.isdisjoint(self._addresses):
                # Many hosts may share an address, so the address alone doesn't show which one is meant.
                raise _refusal(name)
            return resolved

        return resolve_known

    def _asked(self, connect: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(connect)
        def connect_allowed(connecting: socket.socket, *arguments: Any) -> Any:
            if connecting.family in _OF_NETWORKS and isinstance(arguments[-1], tuple):
                self._check(str(arguments[-1][0]))
            return connect(connecting, *arguments)

        return connect_allowed

    def _read(self, send: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(send)
        def send_allowed(connection: socket.socket, content: Any, *rest: Any, **options: Any) -> Any:
            if (place := asked_for(content)) is not None:
                # The peer is a proxy, which may lead anywhere.
                self._check(place[0])
            return send(connection, content, *rest, **options)

        return send_allowed

    def _check(self, host: str) -> None:
        if host not in self._addresses and not may_load(_plain(host)):
            raise _refusal(host)


def _behind_known(pool_of: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(pool_of)
    def pool_of_known(manager: ProxyManager, host: str | None, *rest: Any, **options: Any) -> Any:
        if not may_load(_plain((host or "").strip("[]"))):
            raise _refusal(str(host))
        check_proxy(manager.proxy and manager.proxy.host, manager.proxy and manager.proxy.port)
        return pool_of(manager, host, *rest, **options)

    return pool_of_known


def _refusal(host: str) -> UnsafeTargetError:
    remedy = f"if you may load it, name it with --allow-host or in {ALLOWED_VARIABLE}"
    return UnsafeTargetError(Problem("locustfile", "this host is not on the allow list", remedy, got=host))


def _plain(host: str) -> str:
    """An address without IPv6 scope or IPv4 mapping; "localhost" for the empty or unspecified address."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host or "localhost"
    mapped = getattr(address, "ipv4_mapped", None)
    # Linux takes the unspecified address for its own.
    return "localhost" if address.is_unspecified else str(mapped or address)
