"""Counts requests and violations in Redis, for all processes together."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from limits import parse
from limits.aio.storage import RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from payments_api.protection.stores import Standing, Windows

if TYPE_CHECKING:
    from payments_api.protection.penalties import PenaltyRule

_CONNECTIONS: Final = 64
_PREFIX: Final = "payments"
_PROBE: Final = parse("1000000/second")
_PROBE_KEY: Final = f"{_PREFIX}:probe"
"""Separate from penalties: a trusted proxy may call a client anything."""

_PUNISH: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local record = redis.call('HMGET', KEYS[1], 'strikes', 'until')
local strikes, ends = tonumber(record[1]) or 0, tonumber(record[2]) or now
if ends > now then return ends - now end
local after, base, factor = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local cap, memory, most = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
strikes = math.max(0, strikes - math.floor((now - ends) / memory))
strikes = math.min(strikes + 1, most)
ends = math.ceil(now + after + math.min(cap, base * factor ^ (strikes - 1)))
redis.call('HSET', KEYS[1], 'strikes', strikes, 'until', string.format('%.0f', ends))
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', ends - now + memory * strikes))
return ends - now
"""
"""Like `LocalPenalties.punish`, in milliseconds of the server's clock: atomic, whoever else asks."""

_LEFT: Final = """
local time = redis.call('TIME')
local ends = tonumber(redis.call('HGET', KEYS[1], 'until')) or 0
return math.max(0, ends - (time[1] * 1000 + math.floor(time[2] / 1000)))
"""


class RedisStore:
    """Raises what the client library raises; the caller limits the time."""

    def __init__(self, limits: Mapping[str, str], penalty: PenaltyRule | None, url: str, timeout_s: float) -> None:
        # Without its own retries: three, with growing pauses, are the default. Source: redis-py 7, asyncio/client.py.
        options: dict[str, Any] = {"socket_timeout": timeout_s, "socket_connect_timeout": timeout_s}
        pool = BlockingConnectionPool.from_url(
            url, max_connections=_CONNECTIONS, timeout=timeout_s, retry=Retry(NoBackoff(), 0), **options
        )
        shared: dict[str, Any] = {"connection_pool": pool}
        storage = RedisStorage(f"async+{url}", implementation="redispy", key_prefix=_PREFIX, **shared)
        self._windows = Windows(limits, storage, time.time)
        self._probe = MovingWindowRateLimiter(storage)
        self._rule = penalty
        self._client = Redis(connection_pool=pool)
        self._punish = self._client.register_script(_PUNISH)
        self._left = self._client.register_script(_LEFT)

    async def take(self, endpoint: str, client: str) -> Standing:
        return await self._windows.take(endpoint, client)

    async def look(self, endpoint: str, client: str) -> Standing:
        return await self._windows.look(endpoint, client)

    async def penalty_left_s(self, client: str) -> float:
        if self._rule is None:
            return 0.0
        return int(await self._left(keys=[_penalty_key(client)])) / 1000

    async def punish(self, client: str, after_s: float) -> float:
        rule = self._rule
        if rule is None:
            return after_s
        milliseconds = [round(seconds * 1000) for seconds in (after_s, rule.base_s, rule.cap_s, rule.memory_s)]
        after, base, cap, memory = milliseconds
        numbers = [after, base, rule.factor, cap, memory, rule.most_strikes]
        return int(await self._punish(keys=[_penalty_key(client)], args=numbers)) / 1000

    async def probe(self) -> None:
        """Like a request, plus a violation: a server that answers but can't write, or run scripts, is not back."""
        await self._probe.hit(_PROBE, "probe")
        if self._rule is not None:
            await self._punish(keys=[_PROBE_KEY], args=[0, *[1] * 5])
            await self._left(keys=[_PROBE_KEY])

    async def aclose(self) -> None:
        await self._client.aclose()
        await self._client.connection_pool.aclose()


def _penalty_key(client: str) -> str:
    return f"{_PREFIX}:penalty:{client}"
