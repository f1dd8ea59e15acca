"""Proves that the API serves a restored file: starts it on a free loopback port, asks it, and stops it."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.error import URLError
from urllib.parse import quote

from payments_api.backups.application import READY, question, server
from payments_api.backups.mistakes import BackupError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import IO

_START_S: Final = 60.0
_ANSWER_S: Final = 10.0
_STOP_S: Final = 15.0
_POLL_S: Final = 0.1


def prove_by_boot(database: Path) -> str:
    """What was observed, in a few words; raises BackupError if the API can't serve this database."""
    with closing(sqlite3.connect(f"file:{quote(str(database))}?immutable=1", uri=True)) as opened:
        path, member, expected = question(opened)
    with _reserved_port() as port, tempfile.TemporaryFile() as output:
        arguments, environment = server(database, port)
        process = subprocess.Popen(
            [sys.executable, "-m", "payments_api.backups.proof.underparent", str(os.getpid()), *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=output,
        )
        try:
            url = f"http://127.0.0.1:{port}"
            _await_ready(process, f"{url}{READY}", output)
            answered = _member(_ask(f"{url}{path}"), member)
        finally:
            _stop(process)
    if answered != expected:
        raise BackupError(
            "boot", f"{path} answers another {member} than {expected}", "don't use this backup", got=answered
        )
    return f"{path} answers {member} {answered}"


@contextmanager
def _reserved_port() -> Iterator[int]:
    """A free port that nobody else gets, but our server can listen on. Source: socket(7), SO_REUSEADDR."""
    with socket.socket() as holding:
        holding.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holding.bind(("127.0.0.1", 0))
        yield holding.getsockname()[1]


def _await_ready(process: subprocess.Popen[bytes], url: str, output: IO[bytes]) -> None:
    deadline_s = time.monotonic() + _START_S
    while process.poll() is None and time.monotonic() < deadline_s:
        try:
            _ask(url)
        except BackupError:
            time.sleep(_POLL_S)
        else:
            return
    process.kill()
    process.wait()
    raise BackupError("boot", "the API doesn't start on it", "start it by hand, and read its output", got=_last(output))


def _ask(url: str) -> bytes:
    try:
        # The server is our own child on loopback: don't use the environment's proxy.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(url, timeout=_ANSWER_S) as answer:
            body: bytes = answer.read()
    except (URLError, OSError, ValueError) as error:
        raise BackupError("boot", f"the API on it doesn't answer {url}", "don't use this backup", got=error) from None
    return body


def _member(body: bytes, name: str) -> Any:
    """The member's value; None if there is no such member."""
    try:
        answer: Any = json.loads(body)
    except ValueError:
        return None
    return answer.get(name) if isinstance(answer, dict) else None


def _last(output: IO[bytes]) -> str:
    output.seek(0)
    lines = output.read().decode(errors="replace").strip().splitlines()
    return lines[-1][:200] if lines else "no output"


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
