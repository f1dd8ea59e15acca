"""Runs work in the background for a thread that must never wait or see the work's errors."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Question = TypeVar("Question")
Answer = TypeVar("Answer")


class Beside(Generic[Question, Answer]):
    """Answers one question at a time in a daemon thread, which dies with the process however long it takes."""

    def __init__(self, answer: Callable[[Question], Answer]) -> None:
        self._work = answer
        self._thread: threading.Thread | None = None
        self.latest: Answer | None = None
        self.trouble: Exception | None = None
        """The error that the last answer failed with, if it did."""
        self.took_s = 0.0
        self.ended_s = time.monotonic()
        """When the last answer was ready."""

    @property
    def is_busy(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def ask(self, question: Question) -> None:
        """Start to answer, unless an earlier question is still open: then this one is dropped."""
        if self.is_busy:
            return
        self._thread = threading.Thread(target=self._answer, args=[question], name="beside", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:
            # No thread is available for now.
            self._thread, self.trouble = None, error

    def _answer(self, question: Question) -> None:
        began_s = time.monotonic()
        try:
            self.latest, self.trouble = self._work(question), None
        except Exception as error:  # noqa: BLE001 - whatever it is, who asked decides what it means
            self.trouble = error
        self.ended_s = time.monotonic()
        self.took_s = self.ended_s - began_s
