"""One direction of a connection when a fault of it ends: nothing waits for that any longer."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

import pytest

from loadproof.faults.link import Link
from loadproof.scenario.faults import Latency, LowBandwidth, SlowClose

if TYPE_CHECKING:
    from loadproof.scenario.faults import NetworkFault

WHERE: dict[str, Any] = {"phase": "steady", "lasts": "1 s"}
SLOW: list[NetworkFault] = [
    Latency(fault="latency", latency="60 s", **WHERE),
    LowBandwidth(fault="bandwidth", rate="1 B/s", **WHERE),
    SlowClose(fault="slow_close", delay="60 s", **WHERE),
]


class Sink:
    """A transport and a connection that only note what comes."""

    def __init__(self) -> None:
        self.passed: list[str] = []

    def write(self, chunk: bytes) -> None:
        self.passed.append(chunk.decode())

    def write_eof(self) -> None:
        self.passed.append("end")

    def is_closing(self) -> bool:
        return False

    def close_if_over(self) -> None:
        pass


async def passed_once_over(*faults: NetworkFault) -> list[list[str]]:
    """After each of them has ended, and then one chunk more."""
    sink: Any = Sink()
    link, passed = Link(sink, random.Random(1)), []
    link.sink = sink
    for number, fault in enumerate(faults):
        link.begin(number, fault)
    link.send(b"x" * 60)
    link.send(b"y")
    link.send_end()
    for number in range(len(faults)):
        link.end(number)
        passed.append(list(sink.passed))
    return passed


@pytest.mark.parametrize("fault", SLOW[:2], ids=lambda fault: fault.fault)
def test_what_waits_goes_on_when_the_fault_is_over(fault):
    """In order, and not when it would have been due: who measures recovery would take that for the target's."""
    assert asyncio.run(passed_once_over(fault)) == [["x" * 60, "y", "end"]]


def test_an_end_that_waits_comes_when_nothing_is_slow_any_more():
    assert asyncio.run(passed_once_over(SLOW[2]))[-1][-1] == "end"


def test_while_another_fault_goes_on_it_waits():
    assert asyncio.run(passed_once_over(*SLOW[:2])) == [[], ["x" * 60, "y", "end"]]
