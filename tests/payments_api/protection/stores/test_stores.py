"""Stores when the machine's wall clock is set, or when there are many requests at once."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from drills.redisserver import RedisServer
from payments_api.protection.options import Options
from payments_api.protection.penalties import LocalPenalties, PenaltyRule
from payments_api.protection.stores.redisstore import RedisStore
from payments_api.protection.stores.slowapistore import SlowapiStore
from payments_api.protection.stores.stores import Standing

if TYPE_CHECKING:
    from payments_api.protection.stores.stores import Store

LIMITS = {"other": "3/min"}
RULE = PenaltyRule(base_s=1)


def slowapi_store() -> SlowapiStore:
    return SlowapiStore(Options(limiter="slowapi", limits=LIMITS), LocalPenalties(RULE, 9))


@pytest.mark.parametrize("limiter", ["slowapi", pytest.param("redis", marks=pytest.mark.process)])
@pytest.mark.parametrize("jump_s", [-86_400, -30])
def test_a_clock_set_back_makes_nobody_wait_longer_than_a_window_and_a_penalty(limiter, jump_s, monkeypatch):
    """A refusal is remembered as long as it says: otherwise a jump of the clock would lock the client out."""

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


def crowd(timeout_s: float, answer_s: float) -> tuple[list[object], float]:
    """Results of forty simultaneous requests to a server that takes this time, and the duration of the slowest."""
    options = Options(limiter="slowapi", limits=LIMITS, redis_url="redis://127.0.0.1:9", redis_timeout_s=timeout_s)
    store = SlowapiStore(options, None)

    def answer(_endpoint: str, _client: str) -> Standing:
        time.sleep(answer_s)
        return Standing(True, 1, 0.0)

    store._count = answer

    async def ask() -> list[object]:
        found = await asyncio.gather(*(store.take("other", str(n)) for n in range(40)), return_exceptions=True)
        await store.aclose()
        return found

    began_s = time.monotonic()
    return asyncio.run(ask()), time.monotonic() - began_s


def test_a_crowd_does_not_make_a_working_server_count_as_lost():
    """slowapi's queries run in threads: a request that waits for one waits for us, not for Redis."""
    found, _ = crowd(timeout_s=0.2, answer_s=0.04)
    assert found == [Standing(True, 1, 0.0)] * 40


def test_no_request_of_a_crowd_waits_for_a_lost_server_longer_than_the_first():
    found, slowest_s = crowd(timeout_s=0.2, answer_s=0.5)
    assert {type(error) for error in found} == {TimeoutError, ConnectionError}
    # Four of them hold a thread, which ends with its socket's timeout.
    assert slowest_s < 1.5
