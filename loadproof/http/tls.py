"""TLS: turns trust settings into a context, and bytes on the wire into bytes of the application.

It owns no socket, so each caller can wait in its own way.
"""

from __future__ import annotations

import functools
import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from loadproof.internals.standard import core_of

if TYPE_CHECKING:
    import socket

_BLOCK_BYTES: Final = 65_536


class EncryptedKeyError(ValueError):
    """A private key with a password, which nobody is there to enter."""


@dataclass(frozen=True)
class Trust:
    """Whom we trust, and who we say we are; files are PEM."""

    ca_file: str | None = None
    """Authorities to verify against; None: what OpenSSL trusts, see `authorities`."""
    verify: bool = True
    client_certificate: str | None = None
    client_key: str | None = None
    """None: in the same file as the certificate."""
    server_name: str | None = None
    """The name that is asked for (SNI) and that the certificate must have; None: the host's."""


SYSTEM: Final = Trust()


@functools.cache
def context_for(trust: Trust) -> ssl.SSLContext:
    """One per process, so sessions can be resumed. OSError, SSLError or EncryptedKeyError if a file can't be used."""
    context = ssl.create_default_context(cafile=trust.ca_file)
    if not trust.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if trust.client_certificate is not None:
        # Without a function, OpenSSL would ask on the terminal.
        context.load_cert_chain(trust.client_certificate, trust.client_key, password=_refuse_password)
    return context


def _refuse_password() -> str:
    raise EncryptedKeyError("the key is encrypted")


def authorities(trust: Trust) -> dict[str, str]:
    """File and directory of the trusted certificates: OpenSSL's, or those that its two variables name instead.

    Empty if no certificate is verified.
    """
    if not trust.verify:
        return {}
    if trust.ca_file is not None:
        return {"file": trust.ca_file}
    paths = ssl.get_default_verify_paths()
    trusted = {
        "file": os.environ.get(paths.openssl_cafile_env, paths.openssl_cafile),
        "directory": os.environ.get(paths.openssl_capath_env, paths.openssl_capath),
    }
    return {kind: path for kind, path in trusted.items() if Path(path).exists()}


class Tls:
    """TLS between bytes on the wire and bytes of the application."""

    def __init__(self, host: str, trust: Trust, session: ssl.SSLSession | None) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context_for(trust).wrap_bio(
            self._incoming, self._outgoing, server_hostname=trust.server_name or host, session=session
        )
        self._core = core_of(self._object)

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
        """Complete the handshake over this connection; SSLError if it fails, ConnectionResetError if it is cut off."""
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
        self._core.write(content)
        return self._outgoing.read()

    def decrypt(self, received: bytes) -> tuple[bytes, bool]:
        """The decrypted content, and whether the peer announced the end there.

        ConnectionResetError if it ended (nothing was received) without announcing it: somebody may have cut it off.
        Source: RFC 9112, section 9.8.
        """
        if not received:
            raise ConnectionResetError("cut off: the connection ended, but TLS did not")
        incoming, core = self._incoming, self._core
        incoming.write(received)
        parts: list[bytes] = []
        try:
            while True:
                part = core.read(_BLOCK_BYTES)
                if not part:
                    return b"".join(parts), True
                # A read takes a whole record, of at most 16 KiB (RFC 8446, section 5.1). Another one, just to learn
                # that there are no more, would cost as much.
                if not incoming.pending:
                    return b"".join((*parts, part)) if parts else part, False
                parts.append(part)
        except ssl.SSLWantReadError:
            return b"".join(parts), False
        except ssl.SSLZeroReturnError:
            return b"".join(parts), True
