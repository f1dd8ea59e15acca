"""The bottleneck gives the API a known capacity on any machine."""

from __future__ import annotations

import asyncio
import time

import pytest
import requests

from drills.target import running_target
from payments_api.bottleneck import BottleneckMiddleware

SERVICE_S = 0.02


def times_of(path: str, requests_at_once: int) -> list[float]:
    """Seconds until each request reached the application."""
    reached: list[float] = []

    async def app(*_: object) -> None:
        reached.append(time.monotonic() - began_s)

    async def ask_together() -> None:
        api = BottleneckMiddleware(app, SERVICE_S)
        await asyncio.gather(*(api({"type": "http", "path": path}, None, None) for _ in range(requests_at_once)))

    began_s = time.monotonic()
    asyncio.run(ask_together())
    return reached


def test_requests_are_served_one_after_another():
    """Ten at once form a queue; a late timer delays its own request but none of those behind it."""
    reached_s = times_of("/balance/a", 10)
    assert all(at_s >= number * SERVICE_S for number, at_s in enumerate(reached_s, start=1))
    assert reached_s[-1] < 10 * SERVICE_S + 0.2


def test_monitoring_does_not_queue():
    """Otherwise a slow target would look dead. A queue of fifty would take a second."""
    assert times_of("/metrics", 50)[-1] < 25 * SERVICE_S


@pytest.mark.process
def test_it_is_set_by_an_environment_variable():
    """In milliseconds; by default there is no bottleneck."""
    with running_target(BOTTLENECK_MS="150") as target:
        assert requests.get(f"{target.url}/health", timeout=5).elapsed.total_seconds() >= 0.15
