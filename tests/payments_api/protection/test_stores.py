"""What stores answer when the machine's clock on the wall is set."""

from __future__ import annotations

import asyncio
import time

import pytest

from drills.redisserver import RedisServer
from payments_api.protection.options import Options
from payments_api.protection.redisstore import RedisStore
from payments_api.protection.slowapistore import SlowapiStore
from payments_api.protection.stores import LocalStore, Store

LIMITS = {"other": "3/min"}


def slowapi_store() -> SlowapiStore:
    return SlowapiStore(Options(limiter="slowapi", limits=LIMITS), LocalStore(LIMITS, most_clients=9))


@pytest.mark.parametrize("limiter", ["slowapi", pytest.param("redis", marks=pytest.mark.process)])
@pytest.mark.parametrize("jump_s", [-86_400, -30])
def test_a_clock_that_is_set_back_has_nobody_wait_longer_than_a_window(limiter, jump_s, monkeypatch):
    """A refusal is kept for as long as it says: by the clock's jump it would lock the client out for so long."""

    async def refused_s(store: Store) -> float:
        for _ in range(3):
            assert (await store.take("other", "c")).is_admitted
        right = time.time
        monkeypatch.setattr(time, "time", lambda: right() + jump_s)
        standing = await store.take("other", "c")
        looked = await store.look("other", "c")
        assert not standing.is_admitted
        if isinstance(store, RedisStore):
            await store.aclose()
        return max(standing.reset_s, looked.reset_s)

    if limiter == "slowapi":
        found_s = asyncio.run(refused_s(slowapi_store()))
    else:
        with RedisServer() as server:
            store = RedisStore(LIMITS, None, server.url, 1.0)
            # It holds the function, which is set later.
            store._windows._clock = lambda: time.time()  # noqa: PLW0108 - see above
            found_s = asyncio.run(refused_s(store))
    assert 50 < found_s <= 60
