"""The running vault, and its target file."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from loadproof.run.machine.ports import free_port
from tests.loadproof.run.audits import vault
from tests.loadproof.run.audits.vault import ACCOUNTS

PROGRAM = [sys.executable, str(Path(vault.__file__))]


@contextmanager
def serving_vault(file: Path) -> Iterator[str]:
    """Run the vault in a separate process; yields its base URL."""
    url = f"http://127.0.0.1:{free_port()}"
    process = subprocess.Popen([*PROGRAM, "serve", str(file), url.rpartition(":")[2]])
    try:
        deadline_s = time.monotonic() + 10
        while True:
            try:
                requests.get(f"{url}/health", timeout=5)
                break
            except requests.ConnectionError:
                assert time.monotonic() < deadline_s
                time.sleep(0.02)
        yield url
    finally:
        process.kill()
        process.wait()


def target_of(
    url: str,
    file: Path,
    *,
    backup: str = "online",
    restore: str = "whole",
    serve: tuple[str, ...] = (),
    is_live: bool = False,
) -> dict[str, Any]:
    """The content of a target file; `is_live`: the live ledger is served instead of the restored one."""
    served = str(file) if is_live else "{restored}/vault.sqlite3"
    return {
        "base_url": url,
        "accounts": ACCOUNTS,
        "exclusive_accounts": True,
        "endpoints": {
            "transactions": {"answer": {"currency": None}, "location": False},
            "transaction": None,
            "payments": {"path": "/payments/{account}", "items": None},
            "snapshot": {"path": "/accounts", "items": None},
        },
        "commands": {
            "backup": [*PROGRAM, "backup", backup, str(file), "{backup}"],
            "restore": [*PROGRAM, "restore", restore, "{backup}", "{restored}/vault.sqlite3"],
            "serve": [*PROGRAM, "serve", served, "{port}", *serve],
        },
    }
