"""The memory of limits is bounded, at little cost, by what limits calls private."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from limits import parse
from limits.aio import strategies
from limits.aio.storage import MemoryStorage, memory
from limits.aio.strategies import MovingWindowRateLimiter

from payments_api import tidystorage
from payments_api.tidystorage import TidyStorage

PRIVATE = "_MemoryStorage__schedule_expiry"
"""The name that Python gives the method that TidyStorage stands in for."""


class Clock:
    now_s = 1000.0

    def read(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch) -> Clock:
    """In the place of both clocks, the library's and ours."""
    clock = Clock()
    for module in (tidystorage, memory, strategies):
        monkeypatch.setattr(module, "time", SimpleNamespace(time=clock.read, monotonic=clock.read))
    return clock


async def hits(storage: MemoryStorage, clock: Clock, *, clients: int, every_s: float = 0.0) -> None:
    """One of each client, and all that goes on beside it."""
    limiter = MovingWindowRateLimiter(storage)
    for number in range(clients):
        assert await limiter.hit(parse("5/second"), "balance", f"{clock.now_s}/{number}")
        clock.now_s += every_s
        if storage.timer is not None:
            await storage.timer


def test_expired_entries_are_thrown_out_now_and_then(monkeypatch, clock):
    """Not after each request, and not never: every ten seconds."""
    passes: list[float] = []

    async def counted(_: object) -> None:
        passes.append(clock.now_s)

    monkeypatch.setattr(MemoryStorage, PRIVATE, counted)
    asyncio.run(hits(TidyStorage(), clock, clients=351, every_s=0.1))
    assert passes == pytest.approx([1000.0, 1010.0, 1020.0, 1030.0], abs=0.11)


def test_entries_are_gone_after_their_window(clock):
    """Memory is bounded by the clients of the last window."""
    storage = TidyStorage()

    async def left() -> int:
        await hits(storage, clock, clients=20)
        assert len(storage.events) == 20
        clock.now_s += 11.0
        await hits(storage, clock, clients=1)
        return len(storage.events)

    assert asyncio.run(left()) == 1


def test_what_the_library_calls_private_is_still_there(monkeypatch, clock):
    """It is what each hit calls, and what throws out; ours is called in its place."""
    where = "payments_api/tidystorage.py, against a core taken by the clients of the last minute"
    assert asyncio.iscoroutinefunction(getattr(MemoryStorage, PRIVATE, None)), (
        f"limits changed: {PRIVATE}; used in {where}"
    )
    called = []

    async def counted(storage: object) -> None:
        called.append(type(storage))

    monkeypatch.setattr(TidyStorage, PRIVATE, counted)
    asyncio.run(hits(TidyStorage(), clock, clients=3))
    assert called == [TidyStorage] * 3, f"limits changed: a hit does not call {PRIVATE}; used in {where}"
