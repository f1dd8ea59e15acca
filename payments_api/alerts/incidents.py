"""Turns reports of several processes into incidents, each opened once and ended once, with their messages in order.

A file in a directory that the workers share holds both, so several workers cause one incident and one message. An
incident is open while any process reports it. Times are from the machine's monotonic clock, which the workers share.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

MOST_WAITING: Final = 100
"""Queued messages; beyond that, the oldest is dropped."""
LONGEST_DETAIL: Final = 1000
FILE: Final = "incidents.sqlite3"
IN_MEMORY: Final = ":memory:"
"""Instead of a path, for a process that doesn't share its incidents."""
_SET_UP_S: Final = 5.0
_RETRY_S: Final = 0.01

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS incidents (name TEXT PRIMARY KEY, began_s REAL NOT NULL);
CREATE TABLE IF NOT EXISTS reporters (name TEXT NOT NULL, reporter TEXT NOT NULL, PRIMARY KEY (name, reporter));
CREATE TABLE IF NOT EXISTS messages (id INTEGER PRIMARY KEY AUTOINCREMENT, text TEXT NOT NULL);
"""


@dataclass(frozen=True)
class Waiting:
    """A message that has not been sent yet."""

    id: int
    text: str


class Incidents:
    """One per process, on a file that all of them share; thread-safe."""

    def __init__(
        self, path: str, *, reporter: str, keeps_messages: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`reporter` is the process's id; `keeps_messages`: queue messages for delivery.

        Reports from processes that are gone are forgotten, and so are earlier ones under this id.
        """
        self._reporter = reporter
        self._keeps_messages = keeps_messages
        self._clock = clock
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(path, timeout=5.0, isolation_level=None, check_same_thread=False)
        self._set_up(time.monotonic() + _SET_UP_S)
        self._forget({reporter, *self._gone()})

    def withdraw(self) -> None:
        """Withdraw all reports of this process before it exits; the next process reports whatever is still wrong."""
        self._forget({self._reporter})

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def report(self, name: str, detail: str) -> tuple[str, int]:
        """The message that opens the incident, or '' if it is open already; and how many messages were dropped."""
        with self._lock, self._transaction() as connection:
            opens = connection.execute("INSERT OR IGNORE INTO incidents VALUES (?, ?)", (name, self._clock()))
            connection.execute("INSERT OR IGNORE INTO reporters VALUES (?, ?)", (name, self._reporter))
            if opens.rowcount == 0:
                return "", 0
            text = _storable(f"{name}: {detail[:LONGEST_DETAIL]}")
            return text, self._keep(text)

    def recovered(self, name: str) -> tuple[str, int]:
        """The message that ends the incident, or '' if others still report it or nobody did; and the number dropped."""
        with self._lock, self._transaction() as connection:
            left = connection.execute("DELETE FROM reporters WHERE name = ? AND reporter = ?", (name, self._reporter))
            reported = connection.execute("SELECT 1 FROM reporters WHERE name = ? LIMIT 1", (name,)).fetchone()
            if left.rowcount == 0 or reported:
                return "", 0
            began_s = connection.execute("DELETE FROM incidents WHERE name = ? RETURNING began_s", (name,)).fetchone()
            text = f"{name}: recovered after {_duration(self._clock() - began_s[0])}"
            return text, self._keep(text)

    def reported_by_us(self, prefix: str) -> list[str]:
        """Names of the incidents with this prefix that this process reports."""
        with self._lock:
            rows = self._connection.execute("SELECT name FROM reporters WHERE reporter = ?", (self._reporter,))
            return [name for (name,) in rows if name.startswith(prefix)]

    def open(self) -> dict[str, float]:
        """Open incidents, and how long each has been open, in seconds."""
        with self._lock:
            rows = self._connection.execute("SELECT name, began_s FROM incidents ORDER BY name").fetchall()
        return {name: self._clock() - began_s for name, began_s in rows}

    def first_waiting(self) -> Waiting | None:
        with self._lock:
            row = self._connection.execute("SELECT id, text FROM messages ORDER BY id LIMIT 1").fetchone()
        return Waiting(*row) if row else None

    def done_with(self, message: Waiting) -> None:
        with self._lock:
            self._connection.execute("DELETE FROM messages WHERE id = ?", (message.id,))

    def _set_up(self, until_s: float) -> None:
        """A new file can only switch to WAL while nobody else writes, and SQLite doesn't wait for that."""
        while True:
            try:
                # The file lives as long as the API runs: nothing has to survive a power failure.
                self._connection.execute("PRAGMA journal_mode=WAL")
                self._connection.execute("PRAGMA synchronous=OFF")
                self._connection.executescript(_SCHEMA)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until_s:
                    self._connection.close()
                    raise
                time.sleep(_RETRY_S)
            else:
                return

    def _gone(self) -> list[str]:
        """Reporters whose process exited without withdrawing its reports."""
        rows = self._connection.execute("SELECT DISTINCT reporter FROM reporters").fetchall()
        return [reporter for (reporter,) in rows if reporter.isdecimal() and not _is_running(int(reporter))]

    def _forget(self, reporters: Collection[str]) -> None:
        """End incidents that only these report, without a message: nobody knows when they ended, or whether."""
        with self._lock, self._transaction() as connection:
            connection.executemany("DELETE FROM reporters WHERE reporter = ?", [(reporter,) for reporter in reporters])
            connection.execute("DELETE FROM incidents WHERE name NOT IN (SELECT name FROM reporters)")

    def _keep(self, text: str) -> int:
        """Queue a message, within a transaction; returns how many older ones were dropped."""
        if not self._keeps_messages:
            return 0
        self._connection.execute("INSERT INTO messages (text) VALUES (?)", (text,))
        return self._connection.execute(
            "DELETE FROM messages WHERE id NOT IN (SELECT id FROM messages ORDER BY id DESC LIMIT ?)", (MOST_WAITING,)
        ).rowcount

    def _transaction(self) -> _Transaction:
        return _Transaction(self._connection)


class _Transaction:
    """Atomic, and isolated from other writers."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> sqlite3.Connection:
        self._connection.execute("BEGIN IMMEDIATE")
        return self._connection

    def __exit__(self, kind: object, *_: object) -> None:
        self._connection.execute("COMMIT" if kind is None else "ROLLBACK")


def _storable(text: str) -> str:
    """Text that SQLite accepts: a file name that isn't UTF-8 has surrogates. Source: PEP 383."""
    return text.encode(errors="backslashreplace").decode()


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        """It belongs to another user, or is not a process id."""
    return True


def _duration(seconds: float) -> str:
    """Like '45 s', '3 min 5 s', '2 h 4 min'."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
