"""An application's `on_problem` may raise, block or hang without affecting requests or stopping anything."""

from __future__ import annotations

import asyncio
import threading
import time

from prometheus_client import CollectorRegistry

from payments_api.protection.metrics import ProtectionMetrics
from payments_api.protection.options import Options
from payments_api.protection.protection import Protection
from payments_api.protection.reporting import _MOST_WAITING, Reporter
from tests.waiting import eventually

NOWHERE = "redis://127.0.0.1:9/0"
OPTIONS = Options(limiter="redis", redis_url=NOWHERE, limits={"other": "2/min"})


def admitted_without_redis(on_problem) -> list[bool]:
    """Whether each of three requests is admitted, two of which are within the limit."""
    protection = Protection(OPTIONS, metrics=ProtectionMetrics(CollectorRegistry()), on_problem=on_problem)

    async def decide() -> list[bool]:
        async with protection.running():
            return [(await protection.limits.decide("other", "c")).is_admitted for _ in range(3)]

    return asyncio.run(decide())


def test_on_problem_may_raise_without_affecting_requests(caplog):
    """The error is logged; local limits hold as if the report had succeeded."""

    def fail(*_: str) -> None:
        raise ZeroDivisionError

    assert admitted_without_redis(fail) == [True, True, False]
    assert "told of redis-lost" in caplog.text


def test_on_problem_may_block_without_delaying_requests():
    """Neither later ones nor the one that noticed the problem."""
    gate, returned = threading.Event(), []

    def wait(name: str, _: str) -> None:
        gate.wait(1)
        returned.append(name)

    protection = Protection(OPTIONS, metrics=ProtectionMetrics(CollectorRegistry()), on_problem=wait)

    async def decide() -> None:
        async with protection.running():
            assert (await protection.limits.decide("other", "c")).is_admitted
            assert returned == []
            gate.set()

    asyncio.run(decide())
    assert returned == ["redis-lost"]


def test_on_problem_may_raise_without_stopping_the_reloading_of_lists(tmp_path):
    """An invalid version is reported to it; the valid one after that is loaded."""
    deny = tmp_path / "deny.txt"
    deny.write_text("10.0.0.0/8\n")
    told = []

    def fail(name: str, _: str) -> None:
        told.append(name)
        raise ZeroDivisionError

    options = Options(deny_file=str(deny))
    protection = Protection(options, metrics=ProtectionMetrics(CollectorRegistry()), on_problem=fail)
    protection._watcher._poll_s = 0.01

    async def reload() -> None:
        async with protection.running():
            deny.write_text("nonsense\n")
            await asyncio.to_thread(eventually, lambda: told)
            deny.write_text("10.0.0.0/8\n::1\n")
            await asyncio.to_thread(eventually, lambda: len(protection._deny.value) == 2)

    asyncio.run(reload())
    assert told == ["list-deny-not-reloaded", "list-deny-recovered"]


def test_on_problem_may_hang_and_further_reports_are_logged(caplog):
    """Stopping doesn't wait for it."""
    gate, told = threading.Event(), []
    reporter = Reporter(lambda name, _: (told.append(name), gate.wait(10)))
    reporter("first", "")
    eventually(lambda: told)
    for number in range(_MOST_WAITING + 1):
        reporter(f"later-{number}", "")
    assert [record.getMessage() for record in caplog.records] == [f"later-{_MOST_WAITING}:  (nobody could be told)"]
    began_s = time.monotonic()
    reporter.stop()
    assert time.monotonic() - began_s < 5
    assert told == ["first"]
    gate.set()


def test_reports_before_a_stop_are_delivered_in_order():
    """And later ones, too: closing the rest of the application may fail."""
    told = []
    reporter = Reporter(lambda *problem: told.append(problem))
    for number in range(50):
        reporter("name", str(number))
    reporter.stop()
    reporter("late", "")
    reporter.stop()
    assert told == [*(("name", str(number)) for number in range(50)), ("late", "")]
