"""A time limit for a command that may hang anywhere: a network, a mount, a disk."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def deadline(
    command: str, seconds: float, remedy: str = "see what is slow there, or raise BACKUP_TIMEOUT_S"
) -> Iterator[Callable[[str], None]]:
    """Yields a function to call at each step; when time is up, the process prints the current step and exits with 1.

    It exits immediately, in the middle of whatever it is doing: like kill -9, which loses nothing either.
    """
    at = "starting"

    def end() -> None:
        sys.stderr.write(f"{command}: not finished in time, got {seconds:g} s while {at}; {remedy}\n")
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
