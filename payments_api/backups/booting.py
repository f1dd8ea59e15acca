"""Proves that the API serves a restored file: starts it on a free loopback port, asks it, and stops it."""

from __future__ import annotations

import json
import os
import selectors
import sqlite3
import subprocess
import sys
import time
import urllib.request
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final
from urllib.error import URLError
from urllib.parse import quote

from payments_api.backups.mistakes import BackupError
from payments_api.settings import VARIABLES

if TYPE_CHECKING:
    from pathlib import Path
    from typing import IO

_READY: Final = b"payments_api: ready on "
_START_S: Final = 60.0
_ANSWER_S: Final = 10.0
_STOP_S: Final = 15.0


def prove_by_boot(database: Path) -> str:
    """What was observed, in a few words; BackupError if the API doesn't serve this ledger.

    Takes no backups meanwhile.
    """
    with closing(sqlite3.connect(f"file:{quote(str(database))}?immutable=1", uri=True)) as opened:
        account, balance = opened.execute("SELECT id, balance FROM accounts ORDER BY id LIMIT 1").fetchone() or ("", 0)
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    # Two accounts are the fewest that it creates, and the ledger has them: trying it adds no money.
    environment |= {"DATABASE": str(database), "HOST": "127.0.0.1", "LIMITER": "off", "ACCOUNTS": "2"}
    process = subprocess.Popen(
        [sys.executable, "-m", "payments_api.backups.underparent", str(os.getpid()), "--port", "0"],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        url = _await_ready(process)
        _ask(f"{url}/health/ready")
        found = _ask(f"{url}/balance/{quote(account, safe='')}").get("balance")
    finally:
        _stop(process)
    if found != balance:
        what = f"the API returns another balance for {account} than the ledger's {balance}"
        raise BackupError("boot", what, "don't use this backup", got=found)
    return f"{account} has {balance}"


def _await_ready(process: subprocess.Popen[bytes]) -> str:
    assert process.stdout is not None  # noqa: S101 - it was started with a pipe
    deadline_s, line = time.monotonic() + _START_S, b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while not line.endswith(b"\n") and (left_s := deadline_s - time.monotonic()) > 0:
            if selector.select(left_s):
                chunk = os.read(process.stdout.fileno(), 4096)
                line += chunk
                if not chunk:
                    break
    if not line.startswith(_READY):
        process.kill()
        said = _last_line(process.stderr)
        raise BackupError("boot", "the API doesn't start on it", "start it by hand, and read its output", got=said)
    return line.removeprefix(_READY).decode().strip()


def _ask(url: str) -> dict[str, Any]:
    try:
        # Our own child on loopback: the environment's proxy is not used.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(url, timeout=_ANSWER_S) as answer:
            found: dict[str, Any] = json.load(answer)
    except (URLError, OSError, ValueError) as error:
        raise BackupError("boot", f"the API on it doesn't answer {url}", "don't use this backup", got=error) from None
    return found


def _last_line(stream: IO[bytes] | None) -> str:
    lines = stream.read().decode(errors="replace").strip().splitlines() if stream else []
    return lines[-1][:200] if lines else "no output"


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()
