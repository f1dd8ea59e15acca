"""A process that gets no CPU time while it counts refuses nobody for longer than necessary."""

from __future__ import annotations

import asyncio

from payments_api.protection.limits import Limits
from payments_api.protection.metrics import ProtectionMetrics
from payments_api.protection.stores.stores import LocalStore, Standing


class Stalled:
    """A store that admits one request per second; a refusal takes it half a second."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.admitted_s = -1.0
        self.asked = 0

    async def take(self, _endpoint: str, _client: str) -> Standing:
        self.asked += 1
        wait_s = self.admitted_s + 1.0 - self.now_s
        if wait_s <= 0:
            self.admitted_s = self.now_s
            return Standing(True, 0, 1.0)
        self.now_s += 0.5
        return Standing(False, 0, wait_s)


def test_a_refusal_is_remembered_no_longer_than_it_certainly_holds():
    """Retry-After is long enough in any case."""
    store = Stalled()
    metrics = ProtectionMetrics()
    metrics.prepare(["health"])
    limits = Limits(store, has_penalties=False, most_clients=9, metrics=metrics, clock=lambda: store.now_s)

    def decided() -> tuple[bool, int]:
        decision = asyncio.run(limits.decide("health", "a"))
        return decision.is_admitted, decision.wait_s

    assert decided() == (True, 1)
    store.now_s = 0.1
    assert decided() == (False, 1)
    assert decided() == (False, 1)
    assert store.asked == 2
    store.now_s = 1.05
    assert decided() == (True, 1)


class Late:
    """A clock that advances a little each time it is read."""

    def __init__(self, step_s: float) -> None:
        self.now_s = 0.0
        self.step_s = step_s

    def __call__(self) -> float:
        self.now_s += self.step_s
        return self.now_s


def test_a_refusal_ignores_the_window_if_it_has_room_again():
    """The oldest request left the window between counting and reading it."""
    clock = Late(0.0)
    store = LocalStore({"health": "2/s"}, most_clients=9, clock=clock)

    def taken() -> Standing:
        return asyncio.run(store.take("health", "a"))

    assert taken().is_admitted
    clock.now_s = 0.9
    assert taken().is_admitted
    # The store reads the clock to count and to look: at 0.9999 the first request is in the window, at 1.0001 it isn't.
    clock.now_s, clock.step_s = 0.9997, 0.0002
    assert taken()[:3] == (False, 0, 0.0)
    clock.step_s = 0.0
    assert taken().is_admitted
