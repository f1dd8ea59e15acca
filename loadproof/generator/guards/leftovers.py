"""Ends processes that a locustfile has started and left running: they would outlive a run, and disturb the next.

Only ends descendants of this process, or processes that inherited a mark from one of ours.
"""

from __future__ import annotations

import secrets
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

import psutil

from loadproof import variables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PATIENCE_S: Final = 1.0
_LOOK_S: Final = 0.02
_MOST_ROUNDS: Final = 3
"""Searches for leftovers: one may start another before it ends."""


def end_children() -> None:
    """End all descendants of this process, for some of which Python would wait at its end, however long they take."""
    _end(lambda: psutil.Process().children(recursive=True))


@contextmanager
def ending_leftovers(mark: str | None = None) -> Iterator[dict[str, str]]:
    """Yields variables for a process of ours; all processes that inherited them are ended on exit, orphans included.

    `mark` is an existing mark to share; by default, a new one is made. A process that has cleared its environment, or
    that we may not inspect, is left alone.
    """
    mark = mark or secrets.token_hex()
    try:
        yield {variables.MARK: mark}
    finally:
        _end(lambda: [process for process in psutil.process_iter() if _mark_of(process) == mark])


def _mark_of(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(variables.MARK)
    except (psutil.Error, OSError):
        return None


def _end(find: Callable[[], list[psutil.Process]]) -> None:
    """Terminate, then kill; psutil compares start times, so that a reused process id is never mistaken."""
    for _ in range(_MOST_ROUNDS):
        left = find()
        for end in (psutil.Process.terminate, psutil.Process.kill):
            for process in left:
                with suppress(psutil.Error):
                    end(process)
            left = _left_of(left)


def _left_of(ending: list[psutil.Process]) -> list[psutil.Process]:
    """The processes that still run after a grace period."""
    until_s = time.monotonic() + _PATIENCE_S
    while (left := [process for process in ending if is_alive(process)]) and time.monotonic() < until_s:
        time.sleep(_LOOK_S)
    return left


def is_alive(process: psutil.Process) -> bool:
    """Whether a process still runs; False also for a zombie."""
    with suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False
