"""Makes the target exit when its parent process is gone, even if it was suspended, and leave no files behind."""

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
    """Whether the parent is gone; False if `parent` is None."""
    return parent is not None and os.getppid() != parent


@contextmanager
def under_parent(parent: int | None, directory: str | None) -> Iterator[None]:
    """The parent removes `directory`, which holds our temporary files; if we outlive the parent, we remove it.

    A suspended process can't notice that it is an orphan, so on Linux it gets SIGCONT when its parent dies.
    """
    if parent is not None and sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_SIGNAL_OF_PARENTS_DEATH, signal.SIGCONT, 0, 0, 0)
    try:
        yield
    finally:
        if directory is not None and is_orphan(parent):
            shutil.rmtree(directory, ignore_errors=True)
