"""Turns a base URL into where requests go and how they get there: host, TLS, proxy, base path, and addresses."""

from __future__ import annotations

import functools
import math
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from loadproof.http.tls import SYSTEM, Trust

if TYPE_CHECKING:
    from loadproof.http.proxy import Proxy

_ADDRESSES_LAST_S: Final = 60.0
"""How long a name's addresses are reused; asking the resolver for each connection would put load on it too."""
_NO_ADDRESS: Final = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})
"""The resolver has answered: there is none."""

LOCALHOST: Final = "localhost"
Address = tuple[Any, ...]
Resolve = Callable[..., list[Any]]
"""getaddrinfo, from the standard library or from gevent."""


@dataclass(frozen=True)
class Way:
    """How requests get to a target, whichever it is."""

    trust: Trust = SYSTEM
    """For https."""
    proxy: Proxy | None = None


DIRECT: Final = Way()


@dataclass(frozen=True)
class Origin:
    """Where requests go, from a base URL like http://127.0.0.1:8000/api."""

    host: str
    port: int
    tls: bool
    base_path: str
    way: Way = DIRECT
    _known: list[tuple[float, list[tuple[int, Address]]]] = field(default_factory=list, compare=False, repr=False)

    @classmethod
    def of(cls, base_url: str, way: Way = DIRECT) -> Origin:
        """From a base URL; ValueError if it has no valid port."""
        url = urlsplit(base_url)
        tls = url.scheme == "https"
        return cls(url.hostname or "", url.port or (443 if tls else 80), tls, url.path.rstrip("/"), way)

    @property
    def authority(self) -> str:
        """Host and port, as in the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The base URL, without a trailing slash."""
        return f"{self.root}{self.base_path}"

    @property
    def root(self) -> str:
        """Only the origin: scheme, host and port."""
        return f"{self.scheme}://{self.authority}"

    @property
    def scheme(self) -> str:
        return "https" if self.tls else "http"

    @functools.cached_property
    def absolute(self) -> str:
        """What a request line has before the path: the origin's root if a proxy needs it, otherwise nothing.

        Source: RFC 9112, section 3.2.2.
        """
        return self.root if self.way.proxy and not self.tls else ""

    @functools.cached_property
    def headers(self) -> dict[str, str]:
        """The headers that each request begins with."""
        to_proxy = self.way.proxy.headers if self.way.proxy and not self.tls else {}
        return {"Host": self.authority, **to_proxy}

    def addresses(self, resolve: Resolve = socket.getaddrinfo) -> list[tuple[int, Address]]:
        """Address families and socket addresses, of the proxy if there is one, in the order in which to try them.

        OSError if there are none.
        """
        host, port = (self.way.proxy.host, self.way.proxy.port) if self.way.proxy else (self.host, self.port)
        now_s = time.monotonic()
        known_s, known = self._known[0] if self._known else (-math.inf, [])
        if now_s - known_s < _ADDRESSES_LAST_S:
            return known
        if known:
            # Others reuse them meanwhile: a resolver that is slow or fails is not the target's failure.
            self._known[:] = [(now_s, known)]
        try:
            infos = resolve(host, port, type=socket.SOCK_STREAM)
        except UnicodeError:
            raise OSError("not a host name") from None
        except OSError as error:
            if known and error.errno not in _NO_ADDRESS:
                return known
            self._known.clear()
            if host != LOCALHOST:
                raise
            infos = []
        addresses = [(family, address) for family, _, _, _, address in infos]
        if host == LOCALHOST:
            # Even if the machine's hosts file lacks it. Source: RFC 6761, section 6.3.
            both = [(socket.AF_INET, ("127.0.0.1", port)), (socket.AF_INET6, ("::1", port, 0, 0))]
            addresses += [loopback for loopback in both if loopback[0] not in dict(addresses)]
        self._known[:] = [(now_s, addresses)]
        return addresses

    def prefer(self, address: Address) -> None:
        """From now on, try first the address that accepted a connection, for as long as the addresses are reused."""
        # A new list, because somebody may be iterating over this one.
        self._known[:] = [
            (since_s, sorted(known, key=lambda each: each[1] != address)) for since_s, known in self._known
        ]
