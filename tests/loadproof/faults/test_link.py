"""One direction of a connection when one of its faults ends: bytes it held back pass at once."""

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
    """A transport and a connection that only note what they get."""

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
    """What has passed after each fault has ended, and after one more chunk."""
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
def test_what_waits_passes_when_the_fault_ends(fault):
    """In order, and without its delay, which would look like a slow recovery of the target."""
    assert asyncio.run(passed_once_over(fault)) == [["x" * 60, "y", "end"]]


def test_a_delayed_end_passes_when_no_fault_delays_it_any_more():
    assert asyncio.run(passed_once_over(SLOW[2]))[-1][-1] == "end"


def test_bytes_still_wait_while_another_fault_delays_them():
    assert asyncio.run(passed_once_over(*SLOW[:2])) == [[], ["x" * 60, "y", "end"]]
