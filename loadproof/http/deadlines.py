"""Timeouts of a whole process by one timer: one timer a request would cost as much as reading its answer."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

import gevent

if TYPE_CHECKING:
    from collections.abc import Callable

    from gevent.hub import Hub
    from greenlet import greenlet

_SWEEP_S: Final = 0.01
"""How much later than due a timeout may come."""


class Deadline:
    """One duration for many greenlets, which wait under it in the order in which they began.

    A greenlet that waits longer has the error thrown into it.
    """

    def __init__(self, duration_s: float, error: Callable[[], Exception]) -> None:
        self._duration_s = duration_s
        self._error = error
        self.waiting: dict[greenlet, float] = {}
        """Since when each waits, monotonic seconds. Set to begin, delete to end."""

    def sweep(self, now_s: float) -> None:
        """Called on the hub: throw the error into each greenlet whose time is up."""
        overdue = []
        for waiting, since_s in self.waiting.items():
            if now_s - since_s < self._duration_s:
                break
            overdue.append(waiting)
        for waiting in overdue:
            if self.waiting.pop(waiting, None) is not None:
                waiting.throw(self._error())


class _Sweeper:
    """The deadlines of one event loop."""

    def __init__(self, hub: Hub) -> None:
        self._deadlines: dict[tuple[str, float], Deadline] = {}
        # Without a reference of its own, the timer doesn't keep the loop from ending.
        self._timer = hub.loop.timer(_SWEEP_S, repeat=_SWEEP_S, ref=False)
        self._timer.start(self._sweep)

    def deadline(self, what: str, duration_s: float, error: Callable[[], Exception]) -> Deadline:
        return self._deadlines.setdefault((what, duration_s), Deadline(duration_s, error))

    def _sweep(self) -> None:
        now_s = time.monotonic()
        for deadline in list(self._deadlines.values()):
            if deadline.waiting:
                deadline.sweep(now_s)


_sweepers: WeakKeyDictionary[Hub, _Sweeper] = WeakKeyDictionary()


def deadline(what: str, duration_s: float, error: Callable[[str], Exception]) -> Deadline:
    """This event loop's deadline for `what`; all that wait for the same thing equally long share it."""
    hub = gevent.get_hub()
    if hub not in _sweepers:
        _sweepers[hub] = _Sweeper(hub)
    return _sweepers[hub].deadline(what, duration_s, lambda: error(f"{what} within {duration_s:g} s"))
