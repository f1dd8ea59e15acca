"""Reports incidents to the application from a separate thread, so that code that notices one never waits or fails."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from typing import Final

OnProblem = Callable[[str, str], object]
"""Called with an incident's name and what happened."""

_MOST_WAITING: Final = 100
_STOP_S: Final = 2.0
_log: Final = logging.getLogger(__name__)


class Reporter:
    """Calls `on_problem` once per report, in order; it may be slow, hang or raise, and raised errors are logged.

    At most a hundred reports are queued; any beyond that are only logged.
    """

    def __init__(self, on_problem: OnProblem) -> None:
        self._on_problem = on_problem
        self._reports: queue.Queue[tuple[str, str] | None] = queue.Queue(_MOST_WAITING)
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def __call__(self, name: str, detail: str) -> None:
        """Queue a report; returns at once, never raises, and may be called from any thread."""
        try:
            self._reports.put_nowait((name, detail))
            with self._starting:
                if self._thread is None:
                    thread = threading.Thread(target=self._work, name="protection-reports", daemon=True)
                    thread.start()
                    self._thread = thread
        except (queue.Full, RuntimeError):
            # RuntimeError: no thread can be started now; the next report tries again.
            _log.warning("%s: %s (nobody could be told)", name, detail)

    def stop(self) -> None:
        """Stop; queued reports are still delivered if that takes at most two seconds."""
        thread, self._thread = self._thread, None
        if thread is not None:
            try:
                self._reports.put_nowait(None)
            except queue.Full:
                return
            thread.join(_STOP_S)

    def _work(self) -> None:
        while (report := self._reports.get()) is not None:
            try:
                self._on_problem(*report)
            except Exception:  # noqa: BLE001 - not the reporting code's fault
                _log.exception("on_problem failed, told of %s: %s", *report)
