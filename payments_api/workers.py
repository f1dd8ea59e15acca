"""Runs several worker processes on one listening socket and one database."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Final

from payments_api.metrics import SHARED_DIRECTORY
from payments_api.parentage import is_orphan

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

_POLL_S: Final = 0.2


class Stop:
    """Remembers signals that end the program from its start, so that none is lost however early it arrives.

    SIGHUP (the terminal closes) and SIGQUIT are included; otherwise temporary files would be left behind.
    """

    def __init__(self, then: Callable[[], None] = lambda: None) -> None:
        self.is_wanted = False
        self.then = then
        """Called for each signal."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            signal.signal(number, self._remember)

    def _remember(self, *_: object) -> None:
        self.is_wanted = True
        self.then()


def tell_ready(listener: socket.socket) -> None:
    """Print the ready line that the process which started us waits for."""
    host, port = listener.getsockname()[:2]
    sys.stdout.write(f"payments_api: ready on http://{f'[{host}]' if ':' in host else host}:{port}\n")
    sys.stdout.flush()


def supervise(
    workers: int,
    listener: socket.socket,
    database: str,
    directory: str,
    *,
    parent: int | None,
    stop: Stop,
    passes_on_hangup: bool = False,
) -> int:
    """Run workers until a signal arrives or one of them exits; returns 0 if all of them exited cleanly.

    `directory` holds the metrics that they share, and nothing else.
    """
    listener.set_inheritable(True)
    ours = ["--fd", str(listener.fileno()), "--exit-with-parent", str(os.getpid())]
    command = [sys.executable, "-m", "payments_api", *ours]
    environment = {**os.environ, "DATABASE": database, SHARED_DIRECTORY: directory}
    processes = [
        subprocess.Popen(command, env=environment, pass_fds=[listener.fileno()], stdout=subprocess.PIPE)
        for _ in range(workers)
    ]
    if all(_is_ready(process) for process in processes) and not stop.is_wanted:
        if passes_on_hangup:
            # Only now: SIGHUP would kill a worker that hasn't installed its handler yet.
            signal.signal(signal.SIGHUP, lambda *_: _hang_up(processes))
        tell_ready(listener)
    while not stop.is_wanted and all(process.poll() is None for process in processes):
        if is_orphan(parent):
            break
        time.sleep(_POLL_S)
    for process in processes:
        process.terminate()
        # If the whole process group was suspended, only this process may have been resumed.
        process.send_signal(signal.SIGCONT)
    return max(abs(process.wait()) for process in processes)


def _hang_up(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.send_signal(signal.SIGHUP)


def _is_ready(process: subprocess.Popen[bytes]) -> bool:
    """Wait for the worker's ready line; False if the worker exited instead."""
    assert process.stdout is not None  # noqa: S101 - it was started with a pipe
    return bool(process.stdout.readline())
