"""Opens connections: turns an origin into a connected socket, through a proxy and with TLS if the origin says so.

The caller decides how it waits, by providing the sockets: gevent's in Locust's processes, others elsewhere.
"""

from __future__ import annotations

import errno
import socket
import ssl
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from loadproof.http.head import BeyondLimitError
from loadproof.http.messages import ConnectionFailedError, TransportError, UnreadAnswerError, WantError
from loadproof.http.tls import Tls

if TYPE_CHECKING:
    from collections.abc import Callable

    from loadproof.http.messages import TransportError, Want
    from loadproof.http.origin import Address, Origin, Resolve

_WANTS: Final[dict[int | None, Want]] = {
    errno.EADDRNOTAVAIL: "ports",
    errno.EADDRINUSE: "ports",
    errno.EMFILE: "files",
    errno.ENFILE: "files",
    errno.ENOBUFS: "memory",
    errno.ENOMEM: "memory",
}
"""Failures of system calls that the target has no part in. Source: connect(2), socket(2), send(2)."""
_FROM_IPV4: Final = " from a client's address in 127.0.0.0/8"
_IP_BIND_ADDRESS_NO_PORT: Final = 24
"""Linux: bind the address now and let connect choose the port; otherwise all clients would share 28,000 ports.

Source: ip(7); the constant is missing from Python's socket module before 3.12.
"""


class Waiting(NamedTuple):
    """How to wait while opening a connection: what creates sockets, and what resolves names."""

    new_socket: Callable[..., Any]
    resolve: Resolve


def open_stream(
    origin: Origin, waiting: Waiting, *, source_address: str | None, session: ssl.SSLSession | None
) -> tuple[Any, Tls | None]:
    """A connected socket, and its TLS. OSError if no address of the origin accepts the connection."""
    addresses = origin.addresses(waiting.resolve)
    if source_address is not None:
        addresses = [(family, address) for family, address in addresses if family == socket.AF_INET]
    failure: OSError | None = None
    for number, (family, address) in enumerate(addresses):
        try:
            connecting = waiting.new_socket(family, socket.SOCK_STREAM)
            try:
                tls = _connect(connecting, address, origin, source_address=source_address, session=session)
            except BaseException:
                connecting.close()
                raise
        except ssl.SSLError:
            raise
        except OSError as error:
            # IPv4's failure is preferred: a missing IPv6 doesn't explain why nobody listens.
            failure = error if failure is None or family == socket.AF_INET else failure
        else:
            if number:
                origin.prefer(address)
            return connecting, tls
    raise failure or OSError(f"no address that can be reached{_FROM_IPV4 if source_address else ''}")


def _connect(
    connecting: socket.socket,
    address: Address,
    origin: Origin,
    *,
    source_address: str | None,
    session: ssl.SSLSession | None,
) -> Tls | None:
    if source_address is not None:
        connecting.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
        connecting.bind((source_address, 0))
    connecting.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    _reach(connecting, address, origin)
    if not origin.tls:
        return None
    tls = Tls(origin.host, origin.way.trust, session)
    tls.shake_hands(connecting)
    return tls


def _reach(connecting: socket.socket, address: Address, origin: Origin) -> None:
    """Connect to the origin, or to its proxy, whose failures are reported as the proxy's."""
    proxy = origin.way.proxy
    try:
        connecting.connect(address)
        if proxy and origin.tls:
            proxy.open_tunnel(connecting, origin.host, origin.port)
    except TimeoutError:
        raise
    except OSError as error:
        if proxy is None:
            raise
        raise proxy.failure(error) from error


def failure_of(error: BaseException) -> TransportError:
    """Why there is no answer, in a few words: the target's failure, this machine's own lack, or our own limit."""
    if isinstance(error, BeyondLimitError):
        return UnreadAnswerError(f"{error}: beyond what loadproof reads")
    if isinstance(error, MemoryError):
        return WantError("memory", "this process can't get any")
    of = _WANTS.get(error.errno) if isinstance(error, OSError) and not isinstance(error, ssl.SSLError) else None
    return WantError(of, reason_of(error)) if of else ConnectionFailedError(reason_of(error))


def reason_of(error: BaseException) -> str:
    """Why a connection failed, in a few words; nothing of what was sent or received."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"TLS: {error.reason} ({error.verify_message.rstrip('.')})"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or error}"
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
