"""Opens connections: turns an origin into a connected socket, with TLS if the origin uses it.

The caller decides how it waits, by providing the sockets: gevent's in Locust's processes, others elsewhere.
"""

from __future__ import annotations

import errno
import functools
import os
import socket
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from loadproof.http.head import BeyondLimitError
from loadproof.http.messages import ConnectionFailedError, TransportError, UnreadAnswerError, WantError

if TYPE_CHECKING:
    from collections.abc import Callable

    from loadproof.http.messages import TransportError, Want
    from loadproof.http.origin import Address, Origin, Resolve

_BLOCK_BYTES: Final = 65_536
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
    """How opening waits: what creates sockets, and what resolves names."""

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
            # A missing IPv6 is not the reason why nobody listens.
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
    connecting.connect(address)
    if not origin.tls:
        return None
    tls = Tls(origin.host, session)
    tls.shake_hands(connecting)
    return tls


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
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or error}"
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


class Tls:
    """TLS between bytes on the wire and bytes of the application, without a socket of its own.

    Certificates are verified against the system's authorities, or those in SSL_CERT_FILE.
    """

    def __init__(self, host: str, session: ssl.SSLSession | None) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = tls_context().wrap_bio(self._incoming, self._outgoing, server_hostname=host, session=session)

    @property
    def session(self) -> ssl.SSLSession | None:
        """The session that the next connection to the same origin may resume.

        TLS 1.3's arrives with the first answer.
        """
        return self._object.session

    @property
    def is_resumed(self) -> bool:
        return bool(self._object.session_reused)

    def shake_hands(self, connection: socket.socket) -> None:
        while True:
            try:
                self._object.do_handshake()
            except ssl.SSLWantReadError:
                connection.sendall(self._outgoing.read())
                received = connection.recv(_BLOCK_BYTES)
                if not received:
                    raise ConnectionResetError("closed within the TLS handshake") from None
                self._incoming.write(received)
            except ssl.SSLError:
                # The server learns why, if it still listens.
                connection.sendall(self._outgoing.read())
                raise
            else:
                connection.sendall(self._outgoing.read())
                return

    def encrypt(self, content: bytes) -> bytes:
        self._object.write(content)
        return self._outgoing.read()

    def decrypt(self, received: bytes) -> tuple[bytes, bool]:
        """The decrypted content, and whether the peer announced the end there.

        ConnectionResetError if it ended (nothing was received) without announcing it: somebody may have cut it off.
        Source: RFC 9112, section 9.8.
        """
        if not received:
            raise ConnectionResetError("cut off: the connection ended, but TLS did not")
        self._incoming.write(received)
        content = bytearray()
        while True:
            try:
                part = self._object.read(_BLOCK_BYTES)
            except ssl.SSLWantReadError:
                return bytes(content), False
            except ssl.SSLZeroReturnError:
                return bytes(content), True
            if not part:
                return bytes(content), True
            content += part


@functools.cache
def tls_context() -> ssl.SSLContext:
    """A context that verifies certificates; one per process, so sessions can be resumed."""
    return ssl.create_default_context()


def authorities() -> dict[str, str]:
    """File and directory of the trusted certificates: OpenSSL's, or those that its two variables name instead."""
    paths = ssl.get_default_verify_paths()
    trusted = {
        "file": os.environ.get(paths.openssl_cafile_env, paths.openssl_cafile),
        "directory": os.environ.get(paths.openssl_capath_env, paths.openssl_capath),
    }
    return {kind: path for kind, path in trusted.items() if Path(path).exists()}
