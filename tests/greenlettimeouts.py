"""A plugin of pytest: times are as long for tests with greenlets as for others.

pytest-timeout raises where the program happens to be. gevent prints what a greenlet raises and goes on, so a test that
waits forever beside a busy greenlet would do so for hours. And gevent's timers count from when its loop last looked at
the clock, which may have been before another test of some minutes: a joinall of at most 60 s would not wait at all.
"""

from __future__ import annotations

import gevent.hub
import pytest


def pytest_configure() -> None:
    """A timeout is raised in the main greenlet, as an interrupt is. Source: gevent.hub.Hub.SYSTEM_ERROR."""
    gevent.hub.Hub.SYSTEM_ERROR = (*gevent.hub.Hub.SYSTEM_ERROR, pytest.fail.Exception)


def pytest_runtest_setup() -> None:
    gevent.get_hub().loop.update_now()
