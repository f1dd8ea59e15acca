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


class Source:
    """A sender that only notes whether it is read."""

    is_read = True

    def pause_reading(self) -> None:
        self.is_read = False

    def resume_reading(self) -> None:
        self.is_read = True


async def read_from(*steps: str) -> bool:
    """Whether a sender is read after these steps of its link."""
    sink: Any = Sink()
    source: Any = Source()
    link = Link(sink, random.Random(1))
    link.sink, link.source = sink, source
    for step in steps:
        getattr(link, step)()
    return source.is_read


@pytest.mark.parametrize(
    ("steps", "is_read"), [(["pause", "flush"], False), (["pause", "flush", "resume"], True), (["flush"], True)]
)
def test_a_sender_is_not_read_while_its_receiver_is_slow(steps, is_read):
    """Whatever waits passes on, but nothing more is taken from the sender."""
    assert asyncio.run(read_from(*steps)) is is_read
