"""A disk that becomes full at some moment and tears the write in progress."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from unittest import mock

from loadproof.rundir import files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class _System:
    """Stands in for `os` where the run directory's files are appended to."""

    def __init__(self, is_full: Callable[[], bool]) -> None:
        self._is_full = is_full
        self._is_at_end = False
        """Whether the last write used up the space that was left."""

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def write(self, descriptor: int, chunk: bytes | memoryview) -> int:
        """On a full disk, write half of the chunk, and raise ENOSPC the next time.

        Source: the manual page of write(2).
        """
        if not self._is_full():
            return os.write(descriptor, chunk)
        if self._is_at_end or len(chunk) < 2:
            self._is_at_end = False
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._is_at_end = True
        return os.write(descriptor, chunk[: len(chunk) // 2])


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


@contextmanager
def filling_up(is_full: Callable[[], bool]) -> Iterator[None]:
    """Simulate the disk for this process; files written as a whole always fit, and need no temporary file."""
    with mock.patch.object(files, "os", _System(is_full)), mock.patch.object(files, "write_whole", _write):
        yield
