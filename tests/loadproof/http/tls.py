"""Servers that speak TLS, with a certificate that is trusted."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from loadproof.http import stream
from tests.servers import Script, serving


def new_certificate(directory: Path) -> Path:
    """Of localhost; the key is at this path, the certificate beside it as `.crt`."""
    path = directory / "pem"
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
        " -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    )
    subprocess.run([*command.split(), "-keyout", path, "-out", f"{path}.crt"], check=True, capture_output=True)
    return path


@contextmanager
def tls_serving(certificate: Path, script: Script) -> Iterator[str]:
    """A server whose certificate we trust; its base URL."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{certificate}.crt", certificate)

    def wrapped_script(connection: socket.socket, number: int) -> None:
        with context.wrap_socket(connection, server_side=True) as wrapped:
            script(wrapped, number)

    with mock.patch.dict(os.environ, SSL_CERT_FILE=f"{certificate}.crt"), serving(wrapped_script) as url:
        stream.tls_context.cache_clear()
        yield url.replace("http://127.0.0.1", "https://localhost")
    stream.tls_context.cache_clear()
