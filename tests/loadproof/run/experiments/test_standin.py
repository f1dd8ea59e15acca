"""The server that stands in for a target while the generator alone is measured."""

from __future__ import annotations

import socket
import subprocess
import sys
from contextlib import suppress

import psutil
import pytest

from loadproof.run.experiments.standin import standin
from tests.commands import ROOT

pytestmark = pytest.mark.process


def test_it_answers_every_request_once(tmp_path):
    """However heads and bodies are split or combined; a body may contain what looks like the end of a head."""
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


def test_it_does_not_outlive_its_parent(tmp_path):
    """Which was killed and could stop nothing."""
    code = """
import os, sys
from pathlib import Path
import psutil
from loadproof.run.experiments.standin import standin
with standin(Path(sys.argv[1]), set()):
    print(psutil.Process().children()[0].pid, flush=True)
    sys.stdin.read()
"""
    command = [sys.executable, "-c", code, tmp_path]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as run:
        server = psutil.Process(int(run.stdout.readline()))
        run.kill()
    try:
        assert psutil.wait_procs([server], timeout=10)[1] == []
    finally:
        with suppress(psutil.NoSuchProcess):
            server.kill()
