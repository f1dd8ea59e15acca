"""A plugin of pytest for tests in a process that has greenlets: no timeout is lost, and no thread's end hangs it.

- pytest-timeout raises where the program happens to be. gevent prints what a greenlet raises and goes on, so a test
  that waits forever beside a busy greenlet would do so for hours. What it raises in a callback is lost even so, of
  traced programs in one of twenty: it raises again.
- gevent's timers count from when its loop last looked at the clock, which may have been before another test of some
  minutes: a joinall of at most 60 s would not wait at all.
- Where a thread ends, greenlet deletes its last greenlet in a pending call of the main thread, and a dictionary of
  coverage's is told by a function in Python. CPython 3.11 never gets into a traced function that a pending call calls,
  if another one is made meanwhile, as by a second thread that ends: it turns forever, and answers no signal.
"""

from __future__ import annotations

import signal
import sys
import weakref
from collections.abc import Generator
from typing import Any, Final

import gevent.hub
import pytest

_AGAIN_S: Final = 10.0
"""At the earliest: whoever was told needs some time to end, and is not to be told again."""


class _QuietKeys(weakref.WeakKeyDictionary[Any, Any]):
    """Forgets a dead key by a function in C, which nobody traces; not to be changed while it is gone through."""

    def __init__(self, *entries: Any) -> None:
        super().__init__(*entries)
        self._remove = self.data.__delitem__


def pytest_configure() -> None:
    """A timeout is raised in the main greenlet, as an interrupt is. Source: gevent.hub.Hub.SYSTEM_ERROR."""
    gevent.hub.Hub.SYSTEM_ERROR = (*gevent.hub.Hub.SYSTEM_ERROR, pytest.fail.Exception)


@pytest.hookimpl(wrapper=True)
def pytest_timeout_set_timer() -> Generator[None, object, object]:
    """As pytest-timeout sets it, and again after as long, until it is cancelled."""
    is_set = yield
    left_s, _ = signal.getitimer(signal.ITIMER_REAL)
    if left_s > 0:
        signal.setitimer(signal.ITIMER_REAL, left_s, max(left_s, _AGAIN_S))
    return is_set


def pytest_runtest_setup() -> None:
    gevent.get_hub().loop.update_now()
    if sys.gettrace() is not None:
        # What coverage makes for each thread. Source: coverage 7.17, ctracer/tracer.c, CTracer_init.
        weakref.WeakKeyDictionary = _QuietKeys  # type: ignore[misc]
