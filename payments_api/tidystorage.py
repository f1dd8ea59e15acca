"""The private part of limits: a memory storage that throws expired entries out now and then."""

from __future__ import annotations

import time
from typing import Final

from limits.aio.storage import MemoryStorage

_TIDY_EVERY_S: Final = 10.0


class TidyStorage(MemoryStorage):
    """Throws expired entries out now and then, instead of after each request.

    The library's own looks through the entries of all clients each time, each client's in a thread: with a thousand
    clients that takes a whole core. Source: limits 5.8, limits/aio/storage/memory.py.
    """

    _tidied_s = 0.0

    async def _MemoryStorage__schedule_expiry(self) -> None:  # noqa: N802 - the library's private name
        if time.monotonic() - self._tidied_s >= _TIDY_EVERY_S:
            self._tidied_s = time.monotonic()
            await super()._MemoryStorage__schedule_expiry()  # type: ignore[misc]
