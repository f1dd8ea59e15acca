"""What the target does when whoever started it is gone: it goes on if it was stopped, ends, and leaves nothing."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_SIGNAL_OF_PARENTS_DEATH: Final = 1
"""PR_SET_PDEATHSIG. Source: linux/prctl.h."""


def is_orphan(parent: int | None) -> bool:
    """False where no parent is watched."""
    return parent is not None and os.getppid() != parent


@contextmanager
def under_parent(parent: int | None, directory: str | None) -> Iterator[None]:
    """The parent removes its directory, where our temporary files are; we do if we outlive it.

    A process that somebody has stopped can't see that it is an orphan: Linux lets it go on at that moment.
    """
    if parent is not None and sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_SIGNAL_OF_PARENTS_DEATH, signal.SIGCONT, 0, 0, 0)
    try:
        yield
    finally:
        if directory is not None and is_orphan(parent):
            shutil.rmtree(directory, ignore_errors=True)
