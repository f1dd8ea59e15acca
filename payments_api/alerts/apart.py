"""Asks in another thread what may hang, such as a file system: whoever asks goes on, and hears that it hangs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Generic, TypeVar

T = TypeVar("T")


class Apart(Generic[T]):
    """Calls `probe`, and answers `hangs` instead if that takes longer than `within_s` seconds.

    A call that hangs is not repeated: it is waited for, but only looked at from then on.
    """

    def __init__(self, probe: Callable[[], T], *, within_s: float, hangs: T) -> None:
        self._probe = probe
        self._within_s = within_s
        self._hangs = hangs
        self._asked: Future[T] | None = None

    def __call__(self) -> T:
        """What the probe returns or raises; for one thread at a time."""
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
        except Exception as error:  # noqa: BLE001 - raised again by whoever asked
            asked.set_exception(error)
