"""Counters in Redis: shared by two processes, and replaced by local ones when it hangs or is down."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from drills.redisserver import RedisServer
from tests.payments_api.mutants.breaking import is_broken_by, running_api

pytestmark = pytest.mark.process

LIMITS = {"LIMITER": "redis", "LIMIT_HEALTH": "2/min", "REDIS_TIMEOUT": "0.1"}
_PATIENCE_S = 1.0


@asynccontextmanager
async def redis_and_api(directory):
    with RedisServer() as server:
        async with running_api(directory, REDIS_URL=server.url, **LIMITS) as api:
            yield server, api


async def two_processes_have_one_quota(directory) -> bool:
    """With two applications, which share no more than two processes do."""
    async with redis_and_api(directory) as (server, one):
        (directory / "other").mkdir()
        async with running_api(directory / "other", REDIS_URL=server.url, **LIMITS) as other:
            return await one.statuses(*["/health"] * 2) + await other.statuses("/health") == [200, 200, 429]


async def a_redis_that_hangs_holds_nobody_up(directory) -> bool:
    async with redis_and_api(directory) as (server, api):
        server.hang()
        try:
            return await asyncio.wait_for(api.statuses("/health"), _PATIENCE_S) == [200]
        except TimeoutError:
            return False
        finally:
            server.go_on()


async def limits_hold_without_redis(directory) -> bool:
    async with redis_and_api(directory) as (server, api):
        server.kill()
        return await api.statuses(*["/health"] * 4) == [200, 200, 429, 429]


PROMISES = {
    "memory-on-two-processes": two_processes_have_one_quota,
    "redis-no-timeout": a_redis_that_hangs_holds_nobody_up,
    "redis-fail-open": limits_hold_without_redis,
}


@pytest.mark.parametrize("name", PROMISES)
def test_counters_are_shared_or_replaced_but_for_the_mutant(name, tmp_path, monkeypatch):
    assert is_broken_by(name, PROMISES[name], tmp_path, monkeypatch)
