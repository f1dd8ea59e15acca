"""What time it is, and waiting for it: all that makes, follows and records the load asks here.

Transport and signing ask the system themselves, of one exchange each: `http/` works without the rest of the generator.

They take a clock when they are made, so that tests and simulations can give them one that moves only when it is told to
(`simulation/clock.py`). Greenlets begin, wait for each other and end by gevent either way.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Protocol

import gevent

from loadproof.recording import vitals

if TYPE_CHECKING:
    from loadproof.recording.vitals import Reading


class Clock(Protocol):
    """One process's."""

    def now_s(self) -> float:
        """Seconds since some moment of this machine's own; never set back."""

    def unix_s(self) -> float:
        """The wall clock's time, which other machines understand, and which may be ahead of theirs."""

    def sleep(self, seconds: float) -> None:
        """Let others run for so long; 0: those that can run now."""

    def vitals(self) -> Reading:
        """How this process and its machine stand now."""


class SystemClock:
    """The machine's own."""

    # The functions themselves: asking for the time costs what it costs.
    now_s = staticmethod(time.monotonic)
    unix_s = staticmethod(time.time)
    vitals = staticmethod(vitals.read)

    @staticmethod
    def sleep(seconds: float) -> None:
        gevent.sleep(seconds)


SYSTEM_CLOCK: Final = SystemClock()
