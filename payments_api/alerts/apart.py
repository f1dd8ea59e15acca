"""Runs a probe that may hang, such as a look at a file system, in another thread, so that its caller doesn't hang."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Generic, TypeVar

T = TypeVar("T")


class Apart(Generic[T]):
    """Calls `probe`, and returns `hangs` instead if that takes longer than `within_s` seconds.

    A call that hangs is not repeated: later calls return `hangs` at once until it has finished.
    """

    def __init__(self, probe: Callable[[], T], *, within_s: float, hangs: T) -> None:
        self._probe = probe
        self._within_s = within_s
        self._hangs = hangs
        self._asked: Future[T] | None = None

    def __call__(self) -> T:
        """Returns or raises what the probe does; call it from one thread at a time."""
        within_s = 0.0
        if self._asked is None:
            within_s, asked = self._within_s, Future[T]()
            threading.Thread(target=self._ask, args=[asked], name="alerts-probe", daemon=True).start()
            self._asked = asked
        wait([self._asked], within_s)
        if not self._asked.done():
            return self._hangs
        asked, self._asked = self._asked, None
        return asked.result()

    def _ask(self, asked: Future[T]) -> None:
        try:
            asked.set_result(self._probe())
        except Exception as error:  # noqa: BLE001 - re-raised in the caller
            asked.set_exception(error)
