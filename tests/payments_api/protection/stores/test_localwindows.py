"""Moving windows in memory: exactly N requests, and bounded memory."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from payments_api.protection.stores.localwindows import LocalWindows

LIMIT, WINDOW_S = 3, 10


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def admitted_times(pauses_s: list[float]) -> list[float]:
    clock = Clock()
    windows = LocalWindows(100, clock=clock)
    admitted = []
    for pause_s in pauses_s:
        clock.now_s += pause_s
        if asyncio.run(windows.acquire_entry("client", LIMIT, WINDOW_S)):
            admitted.append(clock.now_s)
    return admitted


@given(pauses_s=st.lists(st.floats(0, 8), max_size=40))
def test_no_window_has_more_than_n(pauses_s):
    """Wherever the window of ten seconds is placed."""
    admitted = admitted_times(pauses_s)
    for start_s in admitted:
        assert sum(start_s <= time_s < start_s + WINDOW_S for time_s in admitted) <= LIMIT


def test_every_request_that_the_window_has_room_for_is_admitted():
    """N at once, none until the first has left the window, then one at a time."""
    assert admitted_times([0.0] * 5 + [WINDOW_S]) == [1000.0] * 3 + [1010.0]
    assert admitted_times([0, 4, 4, 1, 1, 1, 3]) == [1000, 1004, 1008, 1010, 1014]


async def hits(windows: LocalWindows, *clients: object, times: int = 1) -> None:
    for client in clients:
        for _ in range(times):
            await windows.acquire_entry(str(client), LIMIT, WINDOW_S)


def test_the_start_and_the_count_of_a_window_are_right():
    """Retry-After and RateLimit are computed from them."""
    clock = Clock()
    windows = LocalWindows(100, clock=clock)

    async def look() -> tuple[float, int]:
        return await windows.get_moving_window("client", LIMIT, WINDOW_S)

    assert asyncio.run(look()) == (1000.0, 0)
    asyncio.run(hits(windows, "client", times=2))
    clock.now_s += 6
    asyncio.run(hits(windows, "client", times=2))
    assert asyncio.run(look()) == (1000.0, 3)
    clock.now_s += 4
    assert asyncio.run(look()) == (1006.0, 1)


def test_clients_that_have_left_are_removed():
    """Some with each new one, so that memory shrinks."""
    clock = Clock()
    windows = LocalWindows(1000, clock=clock)
    asyncio.run(hits(windows, *range(100)))
    assert len(windows) == 100
    clock.now_s += WINDOW_S
    asyncio.run(hits(windows, *range(1000, 1010)))
    assert len(windows) == 10


def test_beyond_the_bound_the_least_recently_seen_client_is_forgotten():
    """Never one that floods: it has just been seen."""
    changes: list[tuple[int, int]] = []
    windows = LocalWindows(10, clock=Clock(), on_change=lambda *change: changes.append(change))

    async def flood() -> list[bool]:
        await hits(windows, "flooder", times=LIMIT)
        admitted = []
        for stranger in range(50):
            await hits(windows, stranger)
            admitted.append(await windows.acquire_entry("flooder", LIMIT, WINDOW_S))
        return admitted

    assert asyncio.run(flood()) == [False] * 50
    assert len(windows) == 10
    assert max(size for size, _ in changes) == 10
    assert sum(forgotten for _, forgotten in changes) == 41


def test_the_memory_of_a_client_does_not_grow_over_time():
    """Times that no window needs any more are dropped."""
    clock = Clock()
    windows = LocalWindows(10, clock=clock)

    async def stay(limit: int, window_s: int) -> int:
        for _ in range(20_000):
            clock.now_s += 0.5
            await windows.acquire_entry("client", limit, window_s)
        times, _ = windows._windows["client"]
        return len(times)

    assert asyncio.run(stay(5, 1)) <= 10
    assert asyncio.run(stay(1_000_000, 10)) <= 64
