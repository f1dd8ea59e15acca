"""The open model's engine: calls a function for each arrival on time, whether or not earlier ones have ended.

An alarm rings on the event loop when the next arrival is due. The arrival is handed at once to a free user, a greenlet
that waits for nothing else; it sends, and returns to the loop when it has to wait for the answer. Late arrivals are
sent late; an arrival that finds all allowed users busy is dropped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import gevent
from gevent.event import Event
from greenlet import GreenletExit, greenlet

from loadproof.generator.dispatch.alarm import SYSTEM_ALARM_CLOCK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from loadproof.generator.dispatch.alarm import AlarmClock

_AT_ONCE: Final = 32
"""After this many arrivals in a row, answers that have arrived are processed."""


class Arrival(NamedTuple):
    """One arrival of the open model."""

    time_s: float
    """Intended start, seconds from the run's start."""
    endpoint: int
    """Index into the plan's endpoints."""
    client: int
    """The client's global index."""


class Executor:
    """Runs the arrivals of one worker once.

    `perform` sends an arrival and returns when it is answered; it must not raise. `drop` is called for arrivals that
    are never sent. `most_busy` is the maximum number of users.
    """

    def __init__(
        self,
        arrivals: Iterator[Arrival],
        *,
        most_busy: int,
        perform: Callable[[Arrival], None],
        drop: Callable[[Arrival], None],
        clock: AlarmClock = SYSTEM_ALARM_CLOCK,
    ) -> None:
        self._arrivals = arrivals
        self._most_busy = most_busy
        self._perform = perform
        self._drop = drop
        self._hub = gevent.get_hub()
        self._users: list[greenlet] = []
        self._free: list[greenlet] = []
        self._start_s = 0.0
        self._next: Arrival | None = None
        self._is_over = Event()
        self._now_s = clock.now_s
        self._alarm = clock.alarm(self._send_due)

    @property
    def busy(self) -> int:
        """Users waiting for an answer."""
        return len(self._users) - len(self._free)

    def run(self, start_s: float) -> None:
        """Send all arrivals, or those before `stop`, and wait for their answers; `start_s` is second 0 by the clock."""
        self._start_s = start_s
        try:
            self._next = next(self._arrivals, None)
            self._alarm.set(start_s)
            self._is_over.wait()
        finally:
            self._alarm.close()
            self._hub.loop.run_callback(self._end_users)
            gevent.sleep(0)

    def stop(self) -> None:
        """Send no more arrivals."""
        self._arrivals = iter(())
        self._next = None
        self._alarm.set(self._now_s())

    def _send_due(self) -> None:
        """Send what is due; runs on the hub when the alarm rings."""
        now_s = self._now_s
        for _ in range(_AT_ONCE):
            arrival = self._next
            if arrival is None:
                self._end_when_idle()
                return
            if arrival.time_s > now_s() - self._start_s:
                break
            self._next = next(self._arrivals, None)
            self._send(arrival)
        self._alarm.set(self._start_s + (self._next.time_s if self._next else 0.0))

    def _send(self, arrival: Arrival) -> None:
        if self._free:
            user = self._free.pop()
        elif len(self._users) < self._most_busy:
            # Not gevent's own greenlet, which would only start on the event loop's next iteration.
            user = greenlet(self._live, self._hub)
            self._users.append(user)
        else:
            self._drop(arrival)
            return
        user.switch(arrival)

    def _live(self, arrival: Arrival) -> None:
        """A user's life: one arrival after another until the run ends it."""
        while True:
            self._perform(arrival)
            self._free.append(gevent.getcurrent())
            self._end_when_idle()
            arrival = self._hub.switch()

    def _end_users(self) -> None:
        """Kill all users; runs on the hub, to which they return."""
        for user in self._users:
            user.throw(GreenletExit)

    def _end_when_idle(self) -> None:
        if self._next is None and not self.busy:
            self._is_over.set()
