"""Reads the generator's announcements from a pipe."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from loadproof.recording.announcements import announcement_of

if TYPE_CHECKING:
    from loadproof.recording.announcements import Announcement

_MOST_BYTES: Final = 1 << 20
"""Most bytes per read."""


class Listener:
    """Reads complete lines from a descriptor without blocking."""

    def __init__(self, pipe: int) -> None:
        os.set_blocking(pipe, False)
        self._pipe = pipe
        self._unread = b""
        self.has_ended = False
        """Whether the other end is closed."""

    def read(self) -> list[Announcement]:
        """The announcements since the last call."""
        try:
            chunk = os.read(self._pipe, _MOST_BYTES)
        except BlockingIOError:
            return []
        self.has_ended = not chunk
        *lines, self._unread = (self._unread + chunk).split(b"\n")
        return [announcement_of(line) for line in lines]
