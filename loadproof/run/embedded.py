"""The embedded target as a child process, from its start until it is ready, and stopped on the way out."""

from __future__ import annotations

import os
import selectors
import subprocess
import threading
import time
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Final

from loadproof.errors import Problem, TargetError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path
from loadproof.run.children import python, start, stop
from loadproof.rundir.files import append

READY_PREFIX: Final = "payments_api: ready on "
_READY_TIMEOUT_S: Final = 20.0
_CHUNK_BYTES: Final = 65_536
_FAULTS: Final = "FAULTS"
_NOT_INHERITED: Final = frozenset(
    {
        *("HOST", "PORT", "DATABASE", "ACCOUNTS", "LIMITER", "WORKERS"),
        *("LIMIT_HEALTH", "LIMIT_BALANCE", "LIMIT_TRANSACTIONS", "LIMIT_WEBHOOKS", "LIMIT_OTHER", "MOST_CLIENTS"),
        *("PENALTY_BASE", "PENALTY_FACTOR", "PENALTY_CAP", "PENALTY_MEMORY"),
        *("REDIS_URL", "REDIS_TIMEOUT", "BOTS", "BOTS_FILE", "ALLOW_FILE", "DENY_FILE"),
        *("TELEGRAM_SECRET", "CLIENT_HEADER", "TRUSTED_NETWORKS", "METRICS"),
        *("BACKUP_TO", "BACKUP_AT", "BACKUP_KEEP_DAYS", "BACKUP_KEEP_WEEKS", "BACKUP_KEEP_MONTHS"),
        *("BACKUP_TIMEOUT_S", "BACKUP_REQUEST_TIMEOUT_S"),
        *("SENTRY_DSN", "SENTRY_ENVIRONMENT", "SENTRY_RELEASE"),
        *("TELEGRAM_ALERT_TOKEN", "TELEGRAM_ALERT_CHAT", "TELEGRAM_API_URL"),
        *("ALERT_ERROR_RATIO", "ALERT_WINDOW", "ALERT_DISK_FREE", "ALERT_STALL"),
    }
)
"""Its settings that the scenario makes, or nobody: what happens to stand in our environment was meant for others."""


def deliberate_faults() -> str | None:
    """What the environment tells the embedded target to do wrong; who starts it says so aloud."""
    return os.environ.get(_FAULTS) or None


@contextmanager
def embedded_target(
    settings: Mapping[str, str], *, cores: set[int], log: Path, stop_requested: Callable[[], bool]
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """The reference target on a free loopback port, and its base URL; stopped on the way out.

    The base URL is empty when the wait for it was stopped.
    """
    command = python("payments_api", "--port", "0", "--exit-with-parent")
    child = start(
        command,
        directory=log.parent,
        environment=settings,
        cores=cores,
        log=log,
        pipe_output=True,
        without=_NOT_INHERITED,
    )
    try:
        yield child, _await_ready(child, log, stop_requested)
    finally:
        stop(child)
        if child.stdout is not None:
            child.stdout.close()


def _await_ready(child: subprocess.Popen[bytes], log: Path, stop_requested: Callable[[], bool]) -> str:
    output = child.stdout
    assert output is not None  # noqa: S101 - it was started with a pipe
    deadline_s = time.monotonic() + _READY_TIMEOUT_S
    unread = b""
    with selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        while time.monotonic() < deadline_s:
            if stop_requested():
                return ""
            if not selector.select(timeout=0.1):
                continue
            # Not by lines: those that came together would wait in a buffer of which the selector knows nothing.
            chunk = os.read(output.fileno(), _CHUNK_BYTES)
            if not chunk:
                break
            *lines, unread = (unread + chunk).split(b"\n")
            for line in lines:
                if line.startswith(READY_PREFIX.encode()):
                    threading.Thread(target=_keep, args=[output, log], daemon=True).start()
                    return line.removeprefix(READY_PREFIX.encode()).decode(errors="replace").strip()
                append(log, line + b"\n")
    raise TargetError(Problem("embedded target", "did not get ready", f"see {log}", got=_last_line(log)))


def _keep(output: IO[bytes], log: Path) -> None:
    """What it prints later: a pipe that nobody reads is full one day, and who writes to it waits."""
    with suppress(OSError, ValueError):
        while chunk := os.read(output.fileno(), _CHUNK_BYTES):
            append(log, chunk)


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "no output"
