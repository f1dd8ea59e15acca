"""Watches the API's own state for incidents in a thread: 5xx answers, database, disk, event loop."""

from __future__ import annotations

import asyncio
import logging
import shutil
import sqlite3
import threading
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from payments_api.alerts.apart import Apart
from payments_api.alerts.conditions import Condition, ErrorRatio

if TYPE_CHECKING:
    from collections.abc import Callable

    from payments_api.alerts.options import AlertOptions

ERRORS: Final = "server-errors"
DATABASE: Final = "database-unreadable"
DISK: Final = "disk-nearly-full"
STALL: Final = "event-loop-stalled"

_BEAT_S: Final = 0.25
_LONGEST_TICK_S: Final = 5.0
_TICKS_A_WINDOW: Final = 10
_DATABASE_WAIT_S: Final = 1.0
_HANGS_S: Final = 10.0
"""Anything that takes longer to read counts as unreadable."""
_DISK_WAIT_S: Final = 1.0
_log: Final = logging.getLogger(__name__)


class Reporting(Protocol):
    """Reports incidents from any thread without delaying it."""

    def report(self, name: str, detail: str) -> None: ...

    def recovered(self, name: str) -> None: ...


class Pulse:
    """A coroutine that should run often; while it can't run, every request waits."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._beat_s = clock()
        self._worst_s = 0.0

    async def beat(self) -> None:
        """Runs forever."""
        while True:
            self.note()
            await asyncio.sleep(_BEAT_S)

    def note(self) -> None:
        now_s = self._clock()
        self._worst_s = max(self._worst_s, now_s - self._beat_s - _BEAT_S)
        self._beat_s = now_s

    def take_worst_s(self) -> float:
        """The longest stall of the event loop since the last call, in seconds; it may still be going on."""
        worst_s = max(self._worst_s, self._clock() - self._beat_s - _BEAT_S)
        self._worst_s = 0.0
        return worst_s


@dataclass(frozen=True)
class Probes:
    """What the watch checks."""

    answers_and_errors: Callable[[], tuple[int, int]]
    """All answers of this process so far, and how many of them were 5xx."""
    database_trouble: Callable[[], str]
    disk_free_ratio: Callable[[], float]
    worst_stall_s: Callable[[], float]


def probes_of(database: str, answers_and_errors: Callable[[], tuple[int, int]], pulse: Pulse) -> Probes:
    """The real probes. A hanging file system is one incident and doesn't hide others."""
    path = Path(database)
    unanswered = f"the ledger can't be read: no answer for {_HANGS_S:g} s"
    return Probes(
        answers_and_errors,
        Apart(lambda: database_trouble(path), within_s=_HANGS_S, hangs=unanswered),
        Apart(lambda: disk_free_ratio(path.parent), within_s=_DISK_WAIT_S, hangs=1.0),
        pulse.take_worst_s,
    )


def database_trouble(path: Path) -> str:
    """Why accounts can't be read through a separate connection; '' if they can."""
    try:
        uri = f"{path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=_DATABASE_WAIT_S)) as connection:
            connection.execute("SELECT 1 FROM accounts LIMIT 1").fetchone()
    except sqlite3.Error as error:
        return f"the ledger can't be read: {error}"
    return ""


def disk_free_ratio(directory: Path) -> float:
    """The share of the directory's disk that we can use, 0–1; 1 if unknown."""
    try:
        usage = shutil.disk_usage(directory)
    except OSError:
        return 1.0
    return usage.free / usage.total if usage.total else 1.0


class ConditionWatch:
    """Checks repeatedly, and reports what begins and ends."""

    def __init__(
        self, options: AlertOptions, probes: Probes, alerts: Reporting, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._options = options
        self._probes = probes
        self._alerts = alerts
        self._clock = clock
        self._ratio = ErrorRatio(highest=options.error_ratio, window_s=options.window_s)
        self._conditions = [Condition(name, calm_s=options.window_s) for name in (ERRORS, DATABASE, DISK, STALL)]
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="alerts-watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(2 * _DATABASE_WAIT_S)

    def look(self) -> None:
        """Check everything once."""
        troubles = (self._errors(), self._probes.database_trouble(), self._disk(), self._stall())
        now_s = self._clock()
        for condition, trouble in zip(self._conditions, troubles, strict=True):
            begins = condition.look(trouble, now_s)
            if begins:
                self._alerts.report(condition.name, trouble)
            elif begins is False:
                self._alerts.recovered(condition.name)

    def _run(self) -> None:
        tick_s = min(_LONGEST_TICK_S, self._options.window_s / _TICKS_A_WINDOW)
        while not self._stopping.wait(tick_s):
            try:
                self.look()
            except Exception:  # noqa: BLE001 - counts of an application may fail, for example; try again
                _log.exception("can't watch the API's own state; trying again")

    def _errors(self) -> str:
        return self._ratio.trouble(*self._probes.answers_and_errors(), self._clock())

    def _disk(self) -> str:
        free = self._probes.disk_free_ratio()
        return f"{free:.1%} of the database's disk is free" if free < self._options.disk_free_ratio else ""

    def _stall(self) -> str:
        worst_s = self._probes.worst_stall_s()
        return f"the event loop stalled for {worst_s:.1f} s" if worst_s >= self._options.stall_s else ""
