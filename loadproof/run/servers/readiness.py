"""Waits for the address that a child prints once it is ready, and copies its other output to its log."""

from __future__ import annotations

import os
import selectors
import threading
import time
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Final

from loadproof.errors import Problem, TargetError
from loadproof.rundir.files import append

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

_TIMEOUT_S: Final = 20.0
_CHUNK_BYTES: Final = 65_536


def address(
    child: subprocess.Popen[bytes], prefix: str, *, what: str, log: Path, stop_requested: Callable[[], bool]
) -> str:
    """The rest of the line that begins with `prefix`; empty if a stop was requested.

    `child` must have been started with a pipe for its output. TargetError about `what` if the line doesn't appear.
    """
    output = child.stdout
    assert output is not None  # noqa: S101 - it was started with a pipe
    deadline_s = time.monotonic() + _TIMEOUT_S
    unread = b""
    with selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        while time.monotonic() < deadline_s:
            if stop_requested():
                return ""
            if not selector.select(timeout=0.1):
                continue
            # Not readline: further lines would wait in a buffer that the selector doesn't know about.
            chunk = os.read(output.fileno(), _CHUNK_BYTES)
            if not chunk:
                break
            *lines, unread = (unread + chunk).split(b"\n")
            for number, line in enumerate(lines, 1):
                if line.startswith(prefix.encode()):
                    rest = b"\n".join([*lines[number:], unread])
                    threading.Thread(target=_keep, args=[rest, output, log], daemon=True).start()
                    return line.removeprefix(prefix.encode()).decode(errors="replace").strip()
                append(log, line + b"\n")
    append(log, unread)
    raise TargetError(Problem(what, "did not get ready", f"see {log}", got=last_line(log)))


def _keep(rest: bytes, output: IO[bytes], log: Path) -> None:
    """Copy the rest of what was read, and later output, to the log: a pipe that nobody reads blocks its writer."""
    with suppress(OSError, ValueError):
        append(log, rest)
        while chunk := os.read(output.fileno(), _CHUNK_BYTES):
            append(log, chunk)


def last_line(log: Path) -> str:
    """The last line of a child's log; "no output" if it is empty."""
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else "no output"
