"""The pipe on which the generator makes its announcements."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from loadproof.recording.announcements import announcement_of

if TYPE_CHECKING:
    from loadproof.recording.announcements import Announcement

_MOST_BYTES: Final = 1 << 20
"""Per read."""


class Listener:
    """Reads a descriptor without waiting, as far as there are complete lines."""

    def __init__(self, pipe: int) -> None:
        os.set_blocking(pipe, False)
        self._pipe = pipe
        self._unread = b""
        self.has_ended = False
        """The other end is closed."""

    def read(self) -> list[Announcement]:
        """What has arrived since the last call."""
        try:
            chunk = os.read(self._pipe, _MOST_BYTES)
        except BlockingIOError:
            return []
        self.has_ended = not chunk
        *lines, self._unread = (self._unread + chunk).split(b"\n")
        return [announcement_of(line) for line in lines]
