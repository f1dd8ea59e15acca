"""Time, and waiting: everything that generates, watches and records the load uses this clock.

Transport and signing ask the system directly, for one exchange each: `http/` works without the rest of the generator.

They receive a clock when they are created, so tests and simulations can pass one that only moves when told to
(`simulation/clock.py`). Either way, greenlets start, wait for each other and end through gevent.
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
        """Seconds since an arbitrary moment on this machine; never goes back."""

    def unix_s(self) -> float:
        """The wall clock's time, which other machines understand, but which may be ahead of theirs."""

    def sleep(self, seconds: float) -> None:
        """Let others run for this long; 0: only those that can run now."""

    def vitals(self) -> VitalsReading:
        """The current state of this process and its machine."""


class SystemClock:
    """The machine's own."""

    # The functions themselves: reading the time costs no extra call.
    now_s = staticmethod(time.monotonic)
    unix_s = staticmethod(time.time)
    vitals = staticmethod(vitals.read)

    @staticmethod
    def sleep(seconds: float) -> None:
        gevent.sleep(seconds)


SYSTEM_CLOCK: Final = SystemClock()
