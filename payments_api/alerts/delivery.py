"""Sends queued messages to a chat, in order, from one of the processes that share them.

The process that holds the lock file sends; if it dies, the kernel releases the lock and another one takes over. A
message is removed from the queue once it is sent, so the next process sends what a dying one was about to send.
"""

from __future__ import annotations

import fcntl
import logging
import sqlite3
import threading
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

from payments_api.alerts.telegram import NotSentError

if TYPE_CHECKING:
    from collections.abc import Callable

    from payments_api.alerts.incidents import Incidents, Waiting

MOST_TRIES: Final = 10
_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 60.0
_LONGEST_ASKED_S: Final = 3600.0
"""The longest wait that Telegram is granted if it asks for one."""
_POLL_S: Final = 0.5
_log: Final = logging.getLogger(__name__)


def deliver(text: str, send: Callable[[str], None], wait: Callable[[float], bool]) -> bool | None:
    """True if it was sent, False if it can't be; None if `wait`, which waits for some seconds, was told to stop.

    Ten tries, with pauses that double from 1 s to 60 s, or as long as a 429 asks for, up to an hour.
    """
    pause_s = _FIRST_PAUSE_S
    for number in range(1, MOST_TRIES + 1):
        try:
            send(text)
        except NotSentError as error:
            if error.is_final or number == MOST_TRIES:
                _log.warning("an alert was not sent to Telegram, and won't be: %s", error)
                return False
            if wait(min(error.wait_s, _LONGEST_ASKED_S) or pause_s):
                return None
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        else:
            return True
    return False


class Delivery:
    """A thread that sends queued messages, unless another process does."""

    def __init__(
        self, incidents: Incidents, send: Callable[[str], None], lock: Path | None, on_done: Callable[[str], None]
    ) -> None:
        """`lock` is None for a process that doesn't share its messages.

        `on_done` receives 'sent' or 'failed' for each message, and 'postponed' whenever their file is unusable.
        """
        self._incidents = incidents
        self._send = send
        self._lock = lock
        self._on_done = on_done
        self._is_ours = lock is None
        self._is_stuck = False
        self._tried = 0
        """Id of the last message that was sent or can't be: it may still be queued, and must not be sent twice."""
        self._stopping = threading.Event()
        self._news = threading.Event()
        self._thread = threading.Thread(target=self._run, name="alerts-delivery", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, *, within_s: float) -> None:
        """Stop, sending queued messages for up to `within_s`; a failed one is not retried, and stays in the queue."""
        self._stopping.set()
        self._news.set()
        self._thread.join(within_s)

    def look(self) -> None:
        """Wake the thread: there may be something to send."""
        self._news.set()

    def _run(self) -> None:
        with self._lock.open("a") if self._lock is not None else nullcontext() as lock:
            while self._step(lock):
                pass

    def _step(self, lock: TextIO | None) -> bool:
        """Whether to continue; if the disk is full or the file stays locked, tries again later."""
        is_last = self._stopping.is_set()
        self._is_ours = self._is_ours or (lock is not None and _try_lock(lock.fileno()))
        try:
            message = self._next() if self._is_ours else None
            goes_on = message is None or self._deliver(message)
            self._is_stuck = False
        except sqlite3.Error as error:
            self._postpone(error)
            self._stopping.wait(_POLL_S)
            return not is_last
        if message is not None:
            return goes_on
        if is_last:
            return False
        self._news.wait(_POLL_S)
        self._news.clear()
        return True

    def _postpone(self, error: sqlite3.Error) -> None:
        if not self._is_stuck:
            # Log only the first of consecutive failures.
            _log.warning("can't read or remove queued messages; trying again: %s", error)
        self._is_stuck = True
        self._on_done("postponed")

    def _next(self) -> Waiting | None:
        """The first message that was not tried yet; one that was is only removed from the queue."""
        while (message := self._incidents.first_waiting()) is not None and message.id == self._tried:
            self._incidents.done_with(message)
        return message

    def _deliver(self, message: Waiting) -> bool:
        """Whether to continue."""
        is_sent = deliver(message.text, self._send, self._stopping.wait)
        if is_sent is None:
            return False
        self._tried = message.id
        self._on_done("sent" if is_sent else "failed")
        self._incidents.done_with(message)
        return True


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
