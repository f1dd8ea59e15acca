"""Simulated time that only moves when advanced, and the clocks of any number of processes that show it.

The simulation runs in real greenlets of this thread's event loop. The code that advances the time lets all of them run
until none can continue, jumps to the next moment at which something is due, and so on: nothing sleeps, and the same
calls in the same order have the same outcome. That code must not itself wait on a simulated clock.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from typing import Final

import gevent
from gevent.event import Event

from loadproof.recording.vitals import VitalsReading

Waking = Callable[[float], float]
"""Maps the time when something is due in a process to when the process gets to it: never earlier; inf if dead."""
_UNIX_S: Final = 1_795_413_600.0
"""Unix time at simulated time 0, on wall clocks that are right."""
_TICK_S: Final = 1e-9
"""Time advances at least this much for every waiter: one that a rounding error wakes too early waits again."""


class Entry:
    """A call that is due at some moment."""

    __slots__ = ("at_s", "call", "order")

    def __init__(self, at_s: float, order: tuple[float, int], call: Callable[[], None]) -> None:
        self.at_s = at_s
        self.order = order
        self.call: Callable[[], None] | None = call

    def __lt__(self, other: Entry) -> bool:
        return (self.at_s, self.order) < (other.at_s, other.order)

    def cancel(self) -> None:
        self.call = None


class FakeTime:
    """The time of a simulation, in seconds from 0.

    Calls due at the same moment run in the order in which they were scheduled; with a `seed`, in a random order.
    """

    def __init__(self, seed: int | None = None) -> None:
        self.now_s = 0.0
        self._due: list[Entry] = []
        self._asked = 0
        self._dice = None if seed is None else random.Random(seed)
        self._hub = gevent.get_hub()

    def clock(self, *, ahead_s: float = 0.0, up_s: float = 0.0, awake_s: Waking = float) -> FakeClock:
        """The clock of a machine that has been up for `up_s`, with its wall clock `ahead_s` ahead of the others'."""
        return FakeClock(self, ahead_s=ahead_s, up_s=up_s, awake_s=awake_s)

    def call_at(self, at_s: float, call: Callable[[], None]) -> Entry:
        """Run `call` on the event loop, where it must not block, at this time, or at once if that has passed."""
        self._asked += 1
        chance = self._dice.random() if self._dice else 0.0
        entry = Entry(max(at_s, self.now_s), (chance, self._asked), call)
        heapq.heappush(self._due, entry)
        return entry

    def spend(self, seconds: float) -> None:
        """Let the code that is running take this long, while nothing else runs."""
        self.now_s += seconds

    def advance_to(self, at_s: float) -> None:
        """Run everything that is due until then, in order."""
        gevent.idle()
        while self._due and self._due[0].at_s <= at_s:
            self._step()
        self.now_s = max(self.now_s, at_s)

    def advance_until(self, reached: Callable[[], object], *, within_s: float) -> None:
        """Run what is due until `reached()` is true; AssertionError if it isn't within this many simulated seconds."""
        until_s = self.now_s + within_s
        gevent.idle()
        while not reached():
            if not self._due or self._due[0].at_s > until_s:
                raise AssertionError(f"still not so at {until_s:g} s")
            self._step()

    def _step(self) -> None:
        entry = heapq.heappop(self._due)
        if entry.call is None:
            return
        self.now_s = max(self.now_s, entry.at_s)
        self._hub.loop.run_callback(entry.call)
        gevent.idle()


class FakeClock:
    """The clock of one machine, in simulated time; implements `loadproof.generator.dispatch.alarm.AlarmClock`."""

    def __init__(self, time: FakeTime, *, ahead_s: float, up_s: float, awake_s: Waking = float) -> None:
        self._time = time
        self.ahead_s = ahead_s
        self.up_s = up_s
        self.awake_s = awake_s

    def now_s(self) -> float:
        return self._time.now_s + self.up_s

    def unix_s(self) -> float:
        return self._time.now_s + _UNIX_S + self.ahead_s

    def sleep(self, seconds: float) -> None:
        woken = Event()
        entry = self._time.call_at(self.awake_s(self._time.now_s + max(seconds, _TICK_S)), woken.set)
        try:
            woken.wait()
        finally:
            entry.cancel()

    def vitals(self) -> VitalsReading:
        """Vitals of a process that uses no CPU time, on a machine that never sleeps."""
        now_s = self.now_s()
        return VitalsReading(
            monotonic_s=now_s, wall_s=self.unix_s(), boot_s=now_s + 1000, cpu_s=0.0, wait_s=0.0, steal_s=0.0
        )

    def alarm(self, ring: Callable[[], None]) -> FakeAlarm:
        return FakeAlarm(self._time, self, ring)


class FakeAlarm:
    """Rings at the time set, or a nanosecond from now if that has passed; like `dispatch.alarm.Alarm`."""

    def __init__(self, time: FakeTime, clock: FakeClock, ring: Callable[[], None]) -> None:
        self._time = time
        self._clock = clock
        self._ring: Callable[[], None] | None = ring
        self._entry: Entry | None = None

    def set(self, at_s: float) -> None:
        if self._entry is not None:
            self._entry.cancel()
        if self._ring is not None:
            due_s = max(at_s - self._clock.up_s, self._time.now_s + _TICK_S)
            self._entry = self._time.call_at(self._clock.awake_s(due_s), self._ring)

    def close(self) -> None:
        if self._entry is not None:
            self._entry.cancel()
        self._ring = self._entry = None
