"""What stores answer when the machine's clock on the wall is set."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from drills.redisserver import RedisServer
from payments_api.protection.options import Options
from payments_api.protection.penalties import LocalPenalties, PenaltyRule
from payments_api.protection.redisstore import RedisStore
from payments_api.protection.slowapistore import SlowapiStore

if TYPE_CHECKING:
    from payments_api.protection.stores import Store

LIMITS = {"other": "3/min"}
RULE = PenaltyRule(base_s=1)


def slowapi_store() -> SlowapiStore:
    return SlowapiStore(Options(limiter="slowapi", limits=LIMITS), LocalPenalties(RULE, 9))


@pytest.mark.parametrize("limiter", ["slowapi", pytest.param("redis", marks=pytest.mark.process)])
@pytest.mark.parametrize("jump_s", [-86_400, -30])
def test_a_clock_that_is_set_back_has_nobody_wait_longer_than_a_window_and_a_penalty(limiter, jump_s, monkeypatch):
    """A refusal is kept for as long as it says: by the clock's jump it would lock the client out for so long."""

    async def refused_s(store: Store) -> float:
        for _ in range(3):
            assert (await store.take("other", "c")).is_admitted
        right = time.time
        monkeypatch.setattr(time, "time", lambda: right() + jump_s)
        violation, during_penalty = [await store.take("other", "c") for _ in range(2)]
        assert (violation.is_admitted, violation.is_penalty) == (False, False)
        assert (during_penalty.is_admitted, during_penalty.is_penalty) == (False, True)
        if isinstance(store, RedisStore):
            await store.aclose()
        return max(violation.reset_s, during_penalty.reset_s)

    if limiter == "slowapi":
        found_s = asyncio.run(refused_s(slowapi_store()))
    else:
        with RedisServer() as server:
            found_s = asyncio.run(refused_s(RedisStore(LIMITS, RULE, server.url, 1.0)))
    assert 50 < found_s <= 61
