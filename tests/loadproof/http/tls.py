"""TLS servers, with certificates that are trusted or not, and client certificates."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from loadproof.http.tls import context_for
from tests.servers import Script, serving


def new_certificate(directory: Path, host: str = "localhost") -> Path:
    """A self-signed certificate: the path of its key; the certificate is next to it, with `.crt` appended."""
    path = directory / "pem"
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
        f" -subj /CN={host} -addext subjectAltName=DNS:{host}"
    )
    subprocess.run([*command.split(), "-keyout", path, "-out", f"{path}.crt"], check=True, capture_output=True)
    return path


@contextmanager
def tls_serving(certificate: Path, script: Script, context: ssl.SSLContext | None = None) -> Iterator[str]:
    """A server whose certificate we trust; its base URL."""
    with mock.patch.dict(os.environ, SSL_CERT_FILE=f"{certificate}.crt"):
        context_for.cache_clear()
        with untrusted_serving(certificate, script, context) as url:
            yield url
    context_for.cache_clear()


@contextmanager
def untrusted_serving(certificate: Path, script: Script, context: ssl.SSLContext | None = None) -> Iterator[str]:
    """A server whose certificate nobody vouches for; its base URL."""
    context = context or server_context(certificate)

    def wrapped_script(connection: socket.socket, number: int) -> None:
        with context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False) as wrapped:
            try:
                wrapped.do_handshake()
            except ssl.SSLError:
                _read_on(wrapped)
                raise
            script(wrapped, number)

    with serving(wrapped_script) as url:
        yield url.replace("http://127.0.0.1", "https://localhost")


def _read_on(wrapped: ssl.SSLSocket) -> None:
    """Closing a socket with unread data resets the connection, and the client may miss the alert."""
    socket.socket.shutdown(wrapped, socket.SHUT_WR)
    while socket.socket.recv(wrapped, 65536):
        pass


def server_context(certificate: Path, *, clients: Path | None = None) -> ssl.SSLContext:
    """The context of a server that requires the client certificate `clients`, if given."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{certificate}.crt", certificate)
    if clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(f"{clients}.crt")
    return context
