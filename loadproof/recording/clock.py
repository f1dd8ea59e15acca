"""The clock used by everything that generates, watches and records load: time, and waiting.

Objects receive a clock when they are created, so tests and simulations can pass one that only moves when told to
(`simulation/clock.py`). Either way, greenlets start, wait for each other and end through gevent.

Transport and signing ask the system directly: `http/` works without the rest of the generator.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Protocol

import gevent

from loadproof.recording import vitals

if TYPE_CHECKING:
    from loadproof.recording.vitals import VitalsReading


class Clock(Protocol):
    """The clock of one process."""

    def now_s(self) -> float:
        """Seconds since an arbitrary moment on this machine; monotonic."""

    def unix_s(self) -> float:
        """Unix time, which is comparable between machines, as far as their clocks agree."""

    def sleep(self, seconds: float) -> None:
        """Let other greenlets run for this long; 0: only those that are ready."""

    def vitals(self) -> VitalsReading:
        """The current state of this process and its machine."""


class SystemClock:
    """The clock of the machine."""

    # The functions themselves, so that reading the time costs no extra call.
    now_s = staticmethod(time.monotonic)
    unix_s = staticmethod(time.time)
    vitals = staticmethod(vitals.read)

    @staticmethod
    def sleep(seconds: float) -> None:
        gevent.sleep(seconds)


SYSTEM_CLOCK: Final = SystemClock()


class UnsetClock:
    """Unix time as a clock's machine had it when this was made: setting its wall clock later changes nothing."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._epoch_s = clock.unix_s() - clock.now_s()

    def unix_s(self) -> float:
        return self._clock.now_s() + self._epoch_s
