"""A pytest plugin for tests in a process with greenlets: no timeout is lost, and timers start with their test.

- pytest-timeout raises wherever the program happens to be. gevent prints an exception of a greenlet and goes on, so a
  test that waits forever beside a busy greenlet would do so for hours. An exception in a callback is lost all the same,
  in one of twenty traced programs, so the timeout is raised again.
- gevent's timers count from when its loop last looked at the clock, which may have been before another test of several
  minutes: a joinall of at most 60 s would not wait at all.
"""

from __future__ import annotations

import signal
from collections.abc import Generator
from typing import Final

import gevent.hub
import pytest

_AGAIN_S: Final = 10.0
"""Least time until the timeout is raised again: the test needs some time to end after the first one."""


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
