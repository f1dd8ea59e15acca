"""Windows in memory, on a clock that only moves when told to."""

from __future__ import annotations

import asyncio

import pytest

from payments_api.protection.stores.stores import LocalStore
from tests.payments_api.mutants.breaking import is_broken_by, is_kept_by

LIMIT = 5


class Clock:
    now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


async def admitted(*moments_s: float, together: int = 1) -> list[int]:
    """How many of `together` requests are admitted at each of these moments; the limit is 5 in 60 s."""
    clock, found = Clock(), []
    store = LocalStore({"other": f"{LIMIT}/min"}, most_clients=10, clock=clock)
    for moment_s in moments_s:
        clock.now_s = moment_s
        standings = await asyncio.gather(*(store.take("other", "client") for _ in range(together)))
        found.append(sum(standing.is_admitted for standing in standings))
    return found


async def one_after_the_other(_) -> bool:
    return sum(await admitted(*range(1_000, 1_010))) == LIMIT


async def at_once(_) -> bool:
    return await admitted(1_000, together=10) == [LIMIT]


async def slowly(_) -> bool:
    """One request in 20 s, so three in any window."""
    return sum(await admitted(*range(1_000, 1_400, 20))) == 20


async def around_a_full_minute(_) -> bool:
    return await admitted(1_199, 1_201, together=10) == [LIMIT, 0]


PROMISES = {
    "quota-plus-one": one_after_the_other,
    "quota-race": at_once,
    "quota-expiry-renewed": slowly,
    "fixed-called-moving": around_a_full_minute,
}


@pytest.mark.parametrize("name", PROMISES)
def test_a_quota_is_as_declared_but_for_the_mutant(name, tmp_path, monkeypatch):
    assert is_broken_by(name, PROMISES[name], tmp_path, monkeypatch)


@pytest.mark.parametrize("name", PROMISES)
def test_the_wait_that_a_mutant_announces_fits_its_own_windows(name, tmp_path, monkeypatch):
    """Only the quota is wrong: a client that waits is admitted."""

    async def admits_after_the_wait(_) -> bool:
        clock = Clock()
        store = LocalStore({"other": f"{LIMIT}/min"}, most_clients=10, clock=clock)
        while (standing := await store.take("other", "client")).is_admitted:
            clock.now_s += 1
        assert 0 < standing.reset_s <= 60
        clock.now_s += standing.reset_s
        return (await store.take("other", "client")).is_admitted

    assert is_kept_by(name, admits_after_the_wait, tmp_path, monkeypatch)
