"""Counts requests and violations in Redis, shared by all processes, with one command per request."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from limits import parse
from limits.aio.storage.redis.redispy import RedispyBridge
from redis.exceptions import NoScriptError

from payments_api.protection.stores.redisconnection import RedisConnection
from payments_api.protection.stores.stores import Standing, parsed_limits

if TYPE_CHECKING:
    from payments_api.protection.penalties import PenaltyRule

_PREFIX: Final = "payments"
_PROBE: Final = parse("1000000/second")
_VIOLATION: Final = parse("0/second")
_PROBE_KEY: Final = f"{_PREFIX}:probe"
"""Distinct from every penalty's key: a trusted proxy may give a client any name."""

_TAKE: Final = f"""
local function acquire_entry(KEYS, ARGV)
{RedispyBridge.SCRIPT_ACQUIRE_MOVING_WINDOW.decode()}
end
local function moving_window(KEYS, ARGV)
{RedispyBridge.SCRIPT_MOVING_WINDOW.decode()}
end
local timestamp, limit, expiry = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local base, factor, cap = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local memory, most = tonumber(ARGV[7]), tonumber(ARGV[8])
local now, strikes, ends = 0, 0, 0
if base then
    local time = redis.call('TIME')
    now = time[1] * 1000 + math.floor(time[2] / 1000)
    local record = redis.call('HMGET', KEYS[2], 'strikes', 'until')
    strikes, ends = tonumber(record[1]) or 0, tonumber(record[2]) or now
end
local is_penalty = ends > now
local is_admitted = not is_penalty and acquire_entry({{KEYS[1]}}, {{timestamp, limit, expiry, 1}})
-- It searches up to the limit: entries that there are suffice.
local length = redis.call('LLEN', KEYS[1])
local window = moving_window({{KEYS[1]}}, {{timestamp - expiry, length}}) or {{timestamp - expiry, 0}}
local remaining = math.max(0, limit - window[2])
local reset = math.ceil(1000 * math.min(math.max(0, tonumber(window[1]) + expiry - timestamp), expiry))
if is_penalty then
    reset = math.max(ends - now, remaining > 0 and 0 or reset)
elseif base and not is_admitted then
    strikes = math.max(0, strikes - math.floor((now - ends) / memory))
    strikes = math.min(strikes + 1, most)
    ends = math.ceil(now + reset + math.min(cap, base * factor ^ (strikes - 1)))
    redis.call('HSET', KEYS[2], 'strikes', strikes, 'until', string.format('%.0f', ends))
    redis.call('PEXPIRE', KEYS[2], string.format('%.0f', ends - now + memory * strikes))
    reset = ends - now
end
return string.format('%d %d %d %.0f', is_admitted and 1 or 0, is_penalty and 1 or 0, remaining, reset)
"""
"""`stores.take_or_punish` as one atomic script. Durations are in milliseconds, except `expiry`, which is in seconds.

Windows use the library's own scripts, so anything else that counts with it on this server counts the same requests. As
in the library, windows are timed by the calling process's clock; penalties are timed by the server's.
Source: limits 5.8, `limits.aio.storage.redis.RedispyBridge`, and `LocalPenalties.punish`.
"""
_TAKE_SHA: Final = hashlib.sha1(_TAKE.encode()).hexdigest()  # noqa: S324 - Redis identifies scripts by it


class RedisStore:
    """Raises the client library's exceptions, within the timeout."""

    def __init__(self, limits: Mapping[str, str], penalty: PenaltyRule | None, url: str, timeout_s: float) -> None:
        self._limits = parsed_limits(limits)
        self._rule = _numbers(penalty) if penalty is not None else ()
        self._timeout_s = timeout_s
        self._connection = RedisConnection(url)

    async def take(self, endpoint: str, client: str) -> Standing:
        limit = self._limits[endpoint]
        key = f"{_PREFIX}:{limit.key_for(endpoint, client)}"
        penalty = f"{_PREFIX}:penalty:{client}"
        return await self._take((key, penalty), (limit.amount, limit.get_expiry(), *self._rule), self._timeout_s)

    async def probe(self, timeout_s: float) -> None:
        """Writes like a request and like a violation: a server that answers but can't write is not back."""
        rule = [1] * len(self._rule)
        for probe in (_PROBE, _VIOLATION):
            keys = f"{_PREFIX}:{probe.key_for('probe')}", _PROBE_KEY
            await self._take(keys, (probe.amount, probe.get_expiry(), *rule), timeout_s)

    async def info(self) -> dict[str, str]:
        """The server's INFO on memory and statistics."""
        info: dict[str, str] = {}
        for section in ("memory", "stats"):
            answer = await self._connection.ask("INFO", section, timeout_s=self._timeout_s)
            info |= dict(line.split(":", 1) for line in answer.decode().splitlines() if ":" in line)
        return info

    async def aclose(self) -> None:
        await self._connection.aclose()

    async def _take(self, keys: tuple[str, str], numbers: tuple[float, ...], timeout_s: float) -> Standing:
        rest: tuple[str | float, ...] = (len(keys), *keys, time.time(), *numbers)
        try:
            answer = await self._connection.ask("EVALSHA", _TAKE_SHA, *rest, timeout_s=timeout_s)
        except NoScriptError:
            # The server is new or was restarted, and doesn't know the script.
            answer = await self._connection.ask("EVAL", _TAKE, *rest, timeout_s=timeout_s)
        is_admitted, is_penalty, remaining, reset_ms = map(int, answer.split())
        return Standing(is_admitted == 1, remaining if is_admitted else 0, reset_ms / 1000, is_penalty == 1)


def _numbers(rule: PenaltyRule) -> tuple[float, ...]:
    base_ms, cap_ms, memory_ms = (round(seconds * 1000) for seconds in (rule.base_s, rule.cap_s, rule.memory_s))
    return base_ms, rule.factor, cap_ms, memory_ms, rule.most_strikes
