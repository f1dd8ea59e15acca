"""A plugin of pytest: a test's timeout ends the test, whichever greenlet it strikes.

pytest-timeout raises where the program happens to be. gevent prints what a greenlet raises and goes on, so that a test
which waits for ever beside one that is busy would do so for hours.
"""

from __future__ import annotations

import gevent.hub
import pytest


def pytest_configure() -> None:
    """Raise it in the main greenlet, as an interrupt is. Source: gevent.hub.Hub.SYSTEM_ERROR."""
    gevent.hub.Hub.SYSTEM_ERROR = (*gevent.hub.Hub.SYSTEM_ERROR, pytest.fail.Exception)
