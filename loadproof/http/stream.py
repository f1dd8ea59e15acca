"""Opens connections: from an origin to a connected socket, with TLS where it is asked for.

Opening waits by gevent's own sockets. What is opened is a plain non-blocking socket, which its owner watches: gevent's
would start and stop a watcher for each wait, with a system call each.
"""

from __future__ import annotations

import functools
import ssl
from typing import TYPE_CHECKING, Final

from gevent import monkey, socket

if TYPE_CHECKING:
    import socket as std

    from loadproof.http.origin import Address, Origin

_plain_socket: type[std.socket] = monkey.get_original("socket", "socket")
_BLOCK_BYTES: Final = 65_536
_IP_BIND_ADDRESS_NO_PORT: Final = 24
"""Linux: bind the address now and let connect choose the port, or 28,000 ports would serve all clients.

Source: ip(7); the constant is missing from Python's socket module before 3.12.
"""


def open_stream(
    origin: Origin, *, source_address: str | None, session: ssl.SSLSession | None
) -> tuple[std.socket, Tls | None]:
    """A connected non-blocking socket, and its TLS. OSError when no address of the origin takes the connection."""
    failure: OSError = OSError("no address")
    for family, address in origin.addresses():
        try:
            return _open(family, address, origin, source_address=source_address, session=session)
        except ssl.SSLError:
            raise
        except OSError as error:
            failure = error
    raise failure


def _open(
    family: int, address: Address, origin: Origin, *, source_address: str | None, session: ssl.SSLSession | None
) -> tuple[std.socket, Tls | None]:
    connecting = socket.socket(family, socket.SOCK_STREAM)
    try:
        if source_address is not None:
            connecting.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
            connecting.bind((source_address, 0))
        connecting.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connecting.connect(address)
        tls = None
        if origin.tls:
            tls = Tls(origin.host, session)
            tls.shake_hands(connecting)
        connected = _plain_socket(fileno=connecting.detach())
    except BaseException:
        connecting.close()
        raise
    connected.setblocking(False)
    return connected, tls


class Tls:
    """TLS between bytes on the wire and bytes of the application, without a socket of its own.

    Certificates are verified against the system's authorities, or those that SSL_CERT_FILE names.
    """

    def __init__(self, host: str, session: ssl.SSLSession | None) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = tls_context().wrap_bio(self._incoming, self._outgoing, server_hostname=host, session=session)

    @property
    def session(self) -> ssl.SSLSession | None:
        """What the next connection to the same origin may resume; TLS 1.3's comes with the first answer."""
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
                # The server learns why, as far as it still listens.
                connection.sendall(self._outgoing.read())
                raise
            else:
                connection.sendall(self._outgoing.read())
                return

    def encrypt(self, content: bytes) -> bytes:
        self._object.write(content)
        return self._outgoing.read()

    def decrypt(self, received: bytes) -> tuple[bytes, bool]:
        """The content of what came, and whether the other side said that it ends there.

        ConnectionResetError when it ended (nothing came) without having said so: somebody may have cut it off.
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
    return ssl.create_default_context()
