"""Runs work in the background for a thread that must never block or see the work's errors."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Question = TypeVar("Question")
Answer = TypeVar("Answer")


class Beside(Generic[Question, Answer]):
    """Answers one question at a time in a daemon thread, which never delays the end of the process."""

    def __init__(self, answer: Callable[[Question], Answer]) -> None:
        self._work = answer
        self._thread: threading.Thread | None = None
        self.latest: Answer | None = None
        self.trouble: Exception | None = None
        """The error of the last answer, if it failed."""
        self.took_s = 0.0
        self.ended_s = time.monotonic()
        """When the last answer was ready."""

    @property
    def is_busy(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def ask(self, question: Question) -> None:
        """Start answering; if an earlier question is still open, drop this one."""
        if self.is_busy:
            return
        self._thread = threading.Thread(target=self._answer, args=[question], name="beside", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:
            # The system has no thread left for now.
            self._thread, self.trouble = None, error

    def _answer(self, question: Question) -> None:
        began_s = time.monotonic()
        try:
            self.latest, self.trouble = self._work(question), None
        except Exception as error:  # noqa: BLE001 - the caller decides what an error means
            self.trouble = error
        self.ended_s = time.monotonic()
        self.took_s = self.ended_s - began_s
