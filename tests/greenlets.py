"""A plugin of pytest for tests in a process that has greenlets: no timeout is lost, and no thread's end hangs it.

- pytest-timeout raises where the program happens to be. gevent prints what a greenlet raises and goes on, so a test
  that waits forever beside a busy greenlet would do so for hours.
- gevent's timers count from when its loop last looked at the clock, which may have been before another test of some
  minutes: a joinall of at most 60 s would not wait at all.
- Where a thread ends, greenlet has its last greenlet deleted by a pending call of the main thread, and coverage has a
  callback in Python for that. CPython 3.11 never gets into a traced function that a pending call calls, if another one
  is made meanwhile, as by a second thread that ends: it turns forever, and answers no signal.
"""

from __future__ import annotations

import sys
import threading
from typing import Final

import gevent.hub
import greenlet
import pytest

_LAST_GREENLETS: Final[list[greenlet.greenlet]] = []
"""Of all threads that were traced: what is never deleted calls nothing."""
_start: Final = threading.Thread.start


def pytest_configure() -> None:
    """A timeout is raised in the main greenlet, as an interrupt is. Source: gevent.hub.Hub.SYSTEM_ERROR."""
    gevent.hub.Hub.SYSTEM_ERROR = (*gevent.hub.Hub.SYSTEM_ERROR, pytest.fail.Exception)
    threading.Thread.start = _start_and_keep


def pytest_runtest_setup() -> None:
    gevent.get_hub().loop.update_now()


def _start_and_keep(thread: threading.Thread) -> None:
    if sys.gettrace() is not None:
        run = thread.run

        def keep_and_run() -> None:
            del thread.run
            _LAST_GREENLETS.append(greenlet.getcurrent())
            run()

        thread.run = keep_and_run
    _start(thread)
