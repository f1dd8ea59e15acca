"""An end for a command that hangs, whatever it hangs on: a network, a mount, a disk."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def deadline(command: str, seconds: float) -> Iterator[Callable[[str], None]]:
    """Yields what is to be told of each step; after its time the process says where it is, and ends with 1.

    At once, in the middle of whatever it does: that is what kill -9 does too, and nothing is lost by it.
    """
    at = "starting"

    def end() -> None:
        sys.stderr.write(
            f"{command}: not finished in time, got {seconds:g} s while {at}; see what is slow there, "
            "or raise BACKUP_TIMEOUT_S\n"
        )
        sys.stderr.flush()
        os._exit(1)

    def step(name: str) -> None:
        nonlocal at
        at = name

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield step
    finally:
        timer.cancel()
