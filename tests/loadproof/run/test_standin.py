"""The server that stands in for a target while the generator alone is measured."""

from __future__ import annotations

import socket

import pytest

from loadproof.run.standin import standin

pytestmark = pytest.mark.process


def test_it_answers_every_request_once(tmp_path):
    """However they are cut: heads, bodies, several at once. A body that looks like the end of a head is none."""
    with standin(tmp_path, set()) as base_url:
        port = int(base_url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            for piece in (
                b"GET /a HTTP/1.1\r\nHost: x\r\n\r\nPOST /b HTTP/1.1\r\ncontent-length: 9\r\n\r\nab",
                b"\r\n\r\ncdeGET /c HT",
                b"TP/1.1\r\n\r\n",
            ):
                connection.sendall(piece)
            connection.shutdown(socket.SHUT_WR)
            answers = b"".join(iter(lambda: connection.recv(4096), b""))
        assert answers.count(b"HTTP/1.1 200 OK") == answers.count(b"{}") == 3
