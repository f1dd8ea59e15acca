"""Runs a user's command and ends all of its processes: `python -m loadproof.run.processes.overseer DESCRIPTOR`.

A separate process, so that a killed duel leaves nothing running: it reads from a socket what to run, and when the
socket closes it ends the command's whole process group and anything else that the command has started. If the overseer
itself is killed, the command gets SIGTERM, and the duel ends what is left.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from typing import Final

from loadproof.generator.guards.leftovers import end_children, ending_leftovers

_LOOK_S: Final = 0.1
PATIENCE_S: Final = 10.0
"""How long a command may take to end after SIGTERM."""
_ADOPT_ORPHANS: Final = 36
"""PR_SET_CHILD_SUBREAPER. Source: linux/prctl.h."""
_SIGNAL_OF_PARENTS_DEATH: Final = 1
"""PR_SET_PDEATHSIG. Source: linux/prctl.h."""


def oversee(orders: socket.socket) -> int:
    """Run the command until it ends or the socket closes; returns its exit code as a shell would, 0 if it was ended."""
    order = json.loads(orders.makefile("rb").readline() or "null")
    if order is None:
        return 0
    with ending_leftovers(order["mark"]) as mark:
        # A shell, because users write the command as they would type it: with variables in front, or `cd … &&`.
        child = subprocess.Popen(  # noqa: S602
            order["command"],
            shell=True,
            cwd=order["directory"],
            env={**order["environment"], **mark},
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=_end_with_parent,  # noqa: PLW1509 - there are no threads here
        )
        while child.poll() is None and not select.select([orders], [], [], _LOOK_S)[0]:
            pass
        code = child.poll()
        _end(child)
        end_children()
    return 0 if code is None else code if code >= 0 else 128 - code


def _end(child: subprocess.Popen[bytes]) -> None:
    """End the command's whole process group: SIGTERM, then SIGKILL."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, number)
        until_s = time.monotonic() + PATIENCE_S
        while _has_members(child) and time.monotonic() < until_s:
            time.sleep(_LOOK_S / 5)


def _has_members(child: subprocess.Popen[bytes]) -> bool:
    child.poll()
    _reap_orphans()
    try:
        os.killpg(child.pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _reap_orphans() -> None:
    """Reap adopted processes: as zombies they would stay members of their process group."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _adopt_orphans() -> None:
    """Become a subreaper, so that a daemon that leaves its process group remains our descendant."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_ADOPT_ORPHANS, 1, 0, 0, 0)


def _end_with_parent() -> None:
    """Have the command get SIGTERM if we are killed, so that a server can end its own workers."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_SIGNAL_OF_PARENTS_DEATH, signal.SIGTERM, 0, 0, 0)


def main() -> None:
    # Only the socket ends us. SIG_IGN would be inherited, and the command would ignore these signals, too.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    _adopt_orphans()
    sys.exit(oversee(socket.socket(fileno=int(sys.argv[1]))))


if __name__ == "__main__":
    main()
