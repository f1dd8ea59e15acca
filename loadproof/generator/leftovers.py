"""Ends what somebody's locustfile has started and not ended: processes that would outlive a run, and disturb the next.

No other process is touched: each is one of this process's descendants, or has inherited a mark from one of ours.
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
"""Of looking for them: one may start another one before it ends."""


def end_children() -> None:
    """Those of this process, and theirs. Python waits for some of them when it ends, however long they take."""
    _end(lambda: psutil.Process().children(recursive=True))


@contextmanager
def ending_leftovers(mark: str | None = None) -> Iterator[dict[str, str]]:
    """Variables for a process of ours: whatever has inherited them is ended at the end, whoever its parent is by then.

    `mark` is one that somebody else looks for, too; by default it is a new one. A process that has cleared its
    environment, or may not be looked at, is left alone.
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
    """Politely at first; psutil compares when they began, so that nobody is taken for them."""
    for _ in range(_MOST_ROUNDS):
        left = find()
        for end in (psutil.Process.terminate, psutil.Process.kill):
            for process in left:
                with suppress(psutil.Error):
                    end(process)
            left = _left_of(left)


def _left_of(ending: list[psutil.Process]) -> list[psutil.Process]:
    """Those that still run after some patience."""
    until_s = time.monotonic() + _PATIENCE_S
    while (left := [process for process in ending if is_alive(process)]) and time.monotonic() < until_s:
        time.sleep(_LOOK_S)
    return left


def is_alive(process: psutil.Process) -> bool:
    """False also for one that has ended, and of which nobody has taken notice."""
    with suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False
