"""In-memory windows (LIMITER=local) that admit too many requests or refuse too early."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Final

from payments_api.mutants.mutant import Replace, mutant
from payments_api.protection.stores.localwindows import LocalWindows

_ROUND_TRIP_S: Final = 0.005
"""To a remote store."""
_EXCESS: Final = dict.fromkeys(
    (1, 2, 3, 4, 5, 7, 9, 10), "more is admitted than Retry-After, or a count of the client's requests, allows for"
)


@mutant(1, also=_EXCESS)
def quota_plus_one(replace: Replace) -> None:
    """One request too many is admitted: `<=` instead of `<`."""
    true = LocalWindows.acquire_entry

    async def acquire_entry(self: LocalWindows, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        return await true(self, key, limit + 1, expiry, amount)

    replace(LocalWindows, "acquire_entry", acquire_entry)


@mutant(1, also=_EXCESS)
def quota_race(replace: Replace) -> None:
    """Simultaneous requests count as one: the counter is read, changed and written back without a lock."""
    true = LocalWindows.acquire_entry

    async def acquire_entry(self: LocalWindows, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        got = OrderedDict((name, (times[:], period)) for name, (times, period) in self._windows.items())
        await asyncio.sleep(_ROUND_TRIP_S)
        self._windows = got
        return await true(self, key, limit, expiry, amount)

    replace(LocalWindows, "acquire_entry", acquire_entry)


@mutant(1, also=dict.fromkeys((7, 9, 10), "clients within the limit are refused and told to wait"))
def quota_expiry_renewed(replace: Replace) -> None:
    """Under steady traffic the window never ends: each hit does INCR, and an EXPIRE that restarts the period."""
    counts: dict[str, tuple[int, float]] = {}

    def counted(self: LocalWindows, key: str) -> tuple[int, float]:
        count, until_s = counts.get(key, (0, 0.0))
        return (count, until_s) if self._clock() < until_s else (0, self._clock())

    async def acquire_entry(self: LocalWindows, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        count = counted(self, key)[0] + amount
        counts[key] = count, self._clock() + expiry
        return count <= limit

    async def get_moving_window(self: LocalWindows, key: str, limit: int, expiry: int) -> tuple[float, int]:
        count, until_s = counted(self, key)
        return until_s - expiry, min(count, limit)

    replace(LocalWindows, "acquire_entry", acquire_entry)
    replace(LocalWindows, "get_moving_window", get_moving_window)


@mutant(2, also=_EXCESS)
def fixed_called_moving(replace: Replace) -> None:
    """Twice the limit is admitted around each boundary of the clock: the counter's key includes `time // period`."""
    acquire, get = LocalWindows.acquire_entry, LocalWindows.get_moving_window

    def window(self: LocalWindows, key: str, expiry: int) -> str:
        return f"{key}:{self._clock() // expiry:.0f}"

    async def acquire_entry(self: LocalWindows, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        return await acquire(self, window(self, key, expiry), limit, expiry, amount)

    async def get_moving_window(self: LocalWindows, key: str, limit: int, expiry: int) -> tuple[float, int]:
        _, count = await get(self, window(self, key, expiry), limit, expiry)
        return self._clock() // expiry * expiry, count

    replace(LocalWindows, "acquire_entry", acquire_entry)
    replace(LocalWindows, "get_moving_window", get_moving_window)
