"""Stores that count requests and violations: their interface, and the one in this process's memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from limits import RateLimitItem, parse
from limits.aio.strategies import MovingWindowRateLimiter

from payments_api.protection.penalties import LocalPenalties, PenaltyRule
from payments_api.protection.stores.localwindows import LocalWindows

if TYPE_CHECKING:
    from limits.aio.storage import Storage

_PERIODS: Final = {"s": "second", "min": "minute", "h": "hour"}


class Standing(NamedTuple):
    """A client's standing at one limit."""

    is_admitted: bool
    remaining: int
    reset_s: float
    """Seconds until more quota is available; for a refused client: until it would be admitted."""
    is_penalty: bool = False
    """Refused because a penalty is running, whatever the limit says."""


class Store(Protocol):
    async def take(self, endpoint: str, client: str) -> Standing:
        """Count a request if it is within the limit and no penalty is running; one beyond the limit is a violation."""


class Counts(Protocol):
    """Limits alone, without penalties."""

    async def count(self, endpoint: str, client: str) -> Standing:
        """Count a request if it is within the limit."""

    async def look(self, endpoint: str, client: str) -> Standing:
        """Whether the next request would be admitted, without counting one."""


async def take_or_punish(counts: Counts, penalties: LocalPenalties | None, endpoint: str, client: str) -> Standing:
    """Implements `Store.take` with separate counts and penalties."""
    if penalties is None:
        return await counts.count(endpoint, client)
    if (left_s := penalties.left_s(client)) > 0:
        # A client that waits as told must be admitted, and this endpoint's window may take longer than the penalty.
        standing = await counts.look(endpoint, client)
        return Standing(False, 0, max(left_s, standing.reset_s), is_penalty=True)
    standing = await counts.count(endpoint, client)
    if standing.is_admitted:
        return standing
    return standing._replace(reset_s=max(standing.reset_s, penalties.punish(client, standing.reset_s)))


def refused(standing: Standing) -> Standing:
    """The standing of a request that was refused just before `standing` was read.

    Requests may have left the window in between: if so, the next one needn't wait, and the time when the now oldest
    one leaves is irrelevant.
    """
    return Standing(False, 0, 0.0 if standing.remaining else standing.reset_s)


def parsed_limits(limits: Mapping[str, str]) -> dict[str, RateLimitItem]:
    """Converts an endpoint's `60/min` to the library's type."""
    parts = {endpoint: text.partition("/") for endpoint, text in limits.items()}
    return {endpoint: parse(f"{amount}/{_PERIODS[period]}") for endpoint, (amount, _, period) in parts.items()}


def until_s(reset_time_s: float, now_s: float, limit: RateLimitItem) -> float:
    """Seconds until a reset; at most one window, since a wall clock that is set back would lock clients out."""
    return min(max(0.0, reset_time_s - now_s), float(limit.get_expiry()))


class Windows:
    """Moving windows in a storage of `limits.aio`: exactly N in any window, where fixed windows admit up to 2N - 1."""

    def __init__(self, limits: Mapping[str, str], storage: Storage, clock: Callable[[], float]) -> None:
        """`clock` must be the storage's clock."""
        self._limits = parsed_limits(limits)
        self._limiter = MovingWindowRateLimiter(storage)
        self._clock = clock

    async def count(self, endpoint: str, client: str) -> Standing:
        is_admitted = await self._limiter.hit(self._limits[endpoint], endpoint, client)
        remaining, reset_s = await self._stats(endpoint, client)
        seen = Standing(True, remaining, reset_s)
        return seen if is_admitted else refused(seen)

    async def look(self, endpoint: str, client: str) -> Standing:
        remaining, reset_s = await self._stats(endpoint, client)
        return Standing(remaining > 0, remaining, reset_s if remaining == 0 else 0.0)

    async def _stats(self, endpoint: str, client: str) -> tuple[int, float]:
        limit = self._limits[endpoint]
        stats = await self._limiter.get_window_stats(limit, endpoint, client)
        return max(0, stats.remaining), until_s(stats.reset_time, self._clock(), limit)


class LocalStore:
    """Counts in this process's memory, so P processes admit P times as much."""

    def __init__(
        self,
        limits: Mapping[str, str],
        penalty: PenaltyRule | None = None,
        *,
        most_clients: int,
        clock: Callable[[], float] = time.monotonic,
        on_change: Callable[[int, int], object] = lambda _size, _forgotten: None,
    ) -> None:
        storage = LocalWindows(most_clients * len(limits), clock=clock, on_change=on_change)
        self._windows = Windows(limits, storage, clock)
        self.penalties = LocalPenalties(penalty, most_clients, clock=clock) if penalty is not None else None

    async def take(self, endpoint: str, client: str) -> Standing:
        return await take_or_punish(self._windows, self.penalties, endpoint, client)
