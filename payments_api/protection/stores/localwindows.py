"""A storage for the library `limits`: moving windows in this process's memory, for a bounded number of clients."""

from __future__ import annotations

import time
from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable
from itertools import islice
from typing import Final

from limits.aio.storage import MovingWindowSupport, Storage

_MOST_THROWN_OUT: Final = 16
"""Expired windows removed when one is added: more than one, so that memory shrinks when clients leave."""
_WORTH_TRIMMING: Final = 64


class LocalWindows(Storage, MovingWindowSupport):
    """The library's own storage keeps all clients of the last window, and scans all of them for expired ones.

    Here, beyond `most` windows, the client that has been quiet the longest is forgotten; each new window removes a few
    expired ones. Times are from `clock`, which never jumps; 8 to 16 bytes per request and about 350 per window.
    Source for the interface: limits 5.8, 'Custom storage backends'.
    """

    STORAGE_SCHEME = None

    def __init__(
        self,
        most: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        on_change: Callable[[int, int], object] = lambda _size, _forgotten: None,
    ) -> None:
        """`on_change` gets the number of windows, and how many were just forgotten before they expired."""
        super().__init__()
        self._on_change = on_change
        self._most = most
        self._clock = clock
        self._windows: OrderedDict[str, tuple[array[float], int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._windows)

    async def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Count `amount` more requests if they are within the limit; returns whether they are."""
        if amount > limit:
            return False
        now_s = self._clock()
        window = self._windows.get(key)
        if window is None:
            times: array[float] = array("d")
            self._windows[key] = times, expiry
            self._tidy(now_s)
        else:
            times = window[0]
            self._windows.move_to_end(key)
        # Counted from the newest entry: this one and all before it must have left the window.
        oldest = limit - amount + 1
        if len(times) >= oldest and times[-oldest] > now_s - expiry:
            return False
        times.extend([now_s] * amount)
        if len(times) > 2 * limit:
            del times[:-limit]
        elif len(times) >= _WORTH_TRIMMING and times[len(times) // 2] <= now_s - expiry:
            del times[: len(times) // 2]
        return True

    async def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        """Time of the first request in the window, and the number of requests in it."""
        now_s = self._clock()
        times, _ = self._windows.get(key, (None, 0))
        if times is None:
            return now_s, 0
        first = bisect_right(times, now_s - expiry, lo=max(0, len(times) - limit))
        count = len(times) - first
        return (times[first], count) if count else (now_s, 0)

    def _tidy(self, now_s: float) -> None:
        oldest = list(islice(self._windows.items(), _MOST_THROWN_OUT))
        expired = [key for key, (times, expiry) in oldest if times and times[-1] <= now_s - expiry]
        for key in expired:
            del self._windows[key]
        has_to_forget = len(self._windows) > self._most
        if has_to_forget:
            self._windows.popitem(last=False)
        self._on_change(len(self._windows), int(has_to_forget))

    @property
    def base_exceptions(self) -> type[Exception]:
        return ValueError

    async def check(self) -> bool:
        return True

    async def clear(self, key: str) -> None:
        self._windows.pop(key, None)

    async def reset(self) -> int:
        count = len(self._windows)
        self._windows.clear()
        return count

    async def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        raise NotImplementedError("only moving windows are kept here")

    async def get(self, key: str) -> int:
        raise NotImplementedError("only moving windows are kept here")

    async def get_expiry(self, key: str) -> float:
        raise NotImplementedError("only moving windows are kept here")
