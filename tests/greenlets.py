"""A pytest plugin for tests in a process with greenlets: no timeout is lost, and no thread's end hangs the process.

- pytest-timeout raises wherever the program happens to be. gevent prints an exception of a greenlet and goes on, so a
  test that waits forever beside a busy greenlet would do so for hours. An exception in a callback is lost all the same,
  in one of twenty traced programs, so the timeout is raised again.
- gevent's timers count from when its loop last looked at the clock, which may have been before another test of several
  minutes: a joinall of at most 60 s would not wait at all.
- When a thread ends, greenlet deletes its last greenlet in a pending call of the main thread, and a dictionary of
  coverage is notified by a Python function. CPython 3.11 never enters a traced function called by a pending call if
  another pending call is made meanwhile, as by a second thread that ends: it loops forever and ignores signals.
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
"""Least time until the timeout is raised again: the test needs some time to end after the first one."""


class _QuietKeys(weakref.WeakKeyDictionary[Any, Any]):
    """Forgets a dead key with a C function, which isn't traced; must not be changed while it is iterated over."""

    def __init__(self, *entries: Any) -> None:
        super().__init__(*entries)
        self._remove = self.data.__delitem__


def pytest_configure() -> None:
    """Have timeouts raised in the main greenlet, like interrupts. Source: gevent.hub.Hub.SYSTEM_ERROR."""
    gevent.hub.Hub.SYSTEM_ERROR = (*gevent.hub.Hub.SYSTEM_ERROR, pytest.fail.Exception)


@pytest.hookimpl(wrapper=True)
def pytest_timeout_set_timer() -> Generator[None, object, object]:
    """Make pytest-timeout's timer repeat until it is cancelled."""
    is_set = yield
    left_s, _ = signal.getitimer(signal.ITIMER_REAL)
    if left_s > 0:
        signal.setitimer(signal.ITIMER_REAL, left_s, max(left_s, _AGAIN_S))
    return is_set


def pytest_runtest_setup() -> None:
    gevent.get_hub().loop.update_now()
    if sys.gettrace() is not None:
        # Coverage creates one for each thread. Source: coverage 7.17, ctracer/tracer.c, CTracer_init.
        weakref.WeakKeyDictionary = _QuietKeys  # type: ignore[misc]
