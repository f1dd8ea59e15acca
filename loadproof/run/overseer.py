"""Runs somebody's command and ends all of it: `python -m loadproof.run.overseer DESCRIPTOR`.

A process of its own, so that a duel that is killed leaves nothing running: it is told on a socket what to run, and when
that socket closes it ends the command's whole process group, and whatever else the command has started. If it is
killed, the command is told to end, and the duel ends what is left.
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

from loadproof.generator.leftovers import end_children, ending_leftovers

_LOOK_S: Final = 0.1
PATIENCE_S: Final = 10.0
"""What a command has to end in, once it is asked to."""
_ADOPT_ORPHANS: Final = 36
"""PR_SET_CHILD_SUBREAPER. Source: linux/prctl.h."""
_SIGNAL_OF_PARENTS_DEATH: Final = 1
"""PR_SET_PDEATHSIG. Source: linux/prctl.h."""


def oversee(orders: socket.socket) -> int:
    """Run the command until it ends or the socket closes; its exit code, as a shell tells it; 0 if it was ended."""
    order = json.loads(orders.makefile("rb").readline() or "null")
    if order is None:
        return 0
    with ending_leftovers(order["mark"]) as mark:
        # The user's own command line, as they would type it: with variables in front of it, or `cd … &&`.
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
    """Its whole group: politely, then firmly."""
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
    """Those that we have adopted: as zombies they would be members of their group for ever."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _adopt_orphans() -> None:
    """So that a daemon that leaves its group remains our descendant."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_ADOPT_ORPHANS, 1, 0, 0, 0)


def _end_with_parent() -> None:
    """If we are killed; politely, so that a server can end its own workers."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_SIGNAL_OF_PARENTS_DEATH, signal.SIGTERM, 0, 0, 0)


def main() -> None:
    # Only the socket ends us. Were they ignored, the command would inherit that, and ignore them, too.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    _adopt_orphans()
    sys.exit(oversee(socket.socket(fileno=int(sys.argv[1]))))


if __name__ == "__main__":
    main()
