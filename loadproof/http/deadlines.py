"""One timer for all timeouts of a process: a timer per request would cost as much as reading its answer.

It also closes idle connections.
"""

from __future__ import annotations

import time
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar
from weakref import WeakKeyDictionary

import gevent

if TYPE_CHECKING:
    from collections.abc import Callable

    from gevent.hub import Hub
    from greenlet import greenlet

Waiting = TypeVar("Waiting", bound=Hashable)
_SWEEP_S: Final = 0.01
"""How late a timeout may fire."""


class Deadline(Generic[Waiting]):
    """One duration shared by many waiters, in the order in which they began.

    `expire` is called for those whose time is up.
    """

    def __init__(self, duration_s: float, expire: Callable[[Waiting], None]) -> None:
        self._duration_s = duration_s
        self._expire = expire
        self.waiting: dict[Waiting, float] = {}
        """When each waiter began, in monotonic seconds. Set an entry to begin, delete it to end."""

    def sweep(self, now_s: float) -> None:
        """Called on the hub; expires every waiter whose time is up."""
        overdue = []
        for waiting, since_s in self.waiting.items():
            if now_s - since_s < self._duration_s:
                break
            overdue.append(waiting)
        for waiting in overdue:
            if self.waiting.pop(waiting, None) is not None:
                self._expire(waiting)


class _Sweeper:
    """The deadlines of one event loop."""

    def __init__(self, hub: Hub) -> None:
        self._deadlines: dict[tuple[str, float], Deadline[Any]] = {}
        # With ref=False, the timer doesn't keep the loop from ending.
        self._timer = hub.loop.timer(_SWEEP_S, repeat=_SWEEP_S, ref=False)
        self._timer.start(self._sweep)

    def deadline(self, what: str, duration_s: float, expire: Callable[[Any], None]) -> Deadline[Any]:
        return self._deadlines.setdefault((what, duration_s), Deadline(duration_s, expire))

    def _sweep(self) -> None:
        now_s = time.monotonic()
        for deadline in list(self._deadlines.values()):
            if deadline.waiting:
                deadline.sweep(now_s)


_sweepers: WeakKeyDictionary[Hub, _Sweeper] = WeakKeyDictionary()


def deadline(what: str, duration_s: float, error: Callable[[str], Exception]) -> Deadline[greenlet]:
    """This event loop's deadline for `what`, after which the error is raised in the waiting greenlet.

    Everyone who waits for the same thing for the same time shares it.
    """

    def throw(waiting: greenlet) -> None:
        waiting.throw(error(f"{what} within {duration_s:g} s"))

    return _sweeper().deadline(what, duration_s, throw)


def idle_deadline(duration_s: float, close: Callable[[Waiting], None]) -> Deadline[Waiting]:
    """This event loop's deadline for unused connections, which are then closed."""
    return _sweeper().deadline("idle", duration_s, close)


def _sweeper() -> _Sweeper:
    hub = gevent.get_hub()
    if hub not in _sweepers:
        _sweepers[hub] = _Sweeper(hub)
    return _sweepers[hub]
