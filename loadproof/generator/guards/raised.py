"""Reports exceptions of a locustfile's code outside of tasks like those in tasks; Locust would only log them."""

from __future__ import annotations

import logging
import traceback
from typing import TYPE_CHECKING

from locust import events

from loadproof.generator.guards.lastwords import place_in
from loadproof.internals.locust import report_exception
from loadproof.rundir.rows import LISTENER_RAISED

if TYPE_CHECKING:
    from collections.abc import Callable

    from locust.event import EventHook
    from locust.runners import Runner

_log = logging.getLogger(__name__)


class Raised:
    """One per process: the run goes on, and its report lists the exceptions."""

    runner: Runner | None = None
    """Set once there is one."""

    def __init__(self, masked: Callable[[BaseException], str]) -> None:
        """`masked` returns an exception's text without secrets."""
        self._masked = masked

    def by_listener(self, hook: EventHook, error: Exception) -> None:
        """A listener raised; re-raised for `init`, after whose failure nothing begins, as in Locust."""
        if self.runner is None or hook is events.init:
            raise error
        _log.error("a listener raised", exc_info=error)
        self._report(error, f"{LISTENER_RAISED}{type(error).__name__}: {self._masked(error)}")

    def in_greenlet(self, error: BaseException) -> None:
        """A greenlet of Locust's raised, such as the one that creates users, whose `__init__` may fail."""
        if place_in(traceback.extract_tb(error.__traceback__)):
            self._report(error, self._masked(error))

    def _report(self, error: BaseException, message: str) -> None:
        if self.runner is not None:
            report_exception(self.runner, message, "".join(traceback.format_tb(error.__traceback__)))
