"""Turns incident reports from anywhere in the process into one message each; callers never wait or fail."""

from __future__ import annotations

import asyncio
import logging
import os
import queue
import socket
import sqlite3
import threading
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from payments_api.alerts.delivery import Delivery
from payments_api.alerts.incidents import FILE, IN_MEMORY, Incidents
from payments_api.alerts.telegram import Telegram
from payments_api.alerts.watch import ConditionWatch, Pulse, probes_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from payments_api.alerts.metrics import AlertMetrics
    from payments_api.alerts.options import AlertOptions

_MOST_QUEUED: Final = 1000
_STOP_S: Final = 2.0
_RECOVERED: Final = "-recovered"
_LOCK: Final = "incidents.lock"
_log: Final = logging.getLogger(__name__)


class Alerts:
    """One per process. Pass `report` to any part that may run into trouble.

    `report("redis-lost", "…")` opens an incident, unless it is already open; `recovered("redis-lost")` ends it. For
    parts that only know one function, `report("redis-recovered", "…")` ends all incidents of this process that begin
    with `redis-`. An incident is over when no worker reports it any more.
    """

    def __init__(self, options: AlertOptions, metrics: AlertMetrics, *, directory: str | None = None) -> None:
        """`directory` is shared by the workers; None: a single process, which leaves nothing on disk."""
        self._options = options
        self._metrics = metrics
        self._shared = Path(directory) if directory is not None else None
        self._where = f"payments_api on {socket.gethostname()}"
        self._telegram = Telegram(options.telegram) if options.telegram else None
        self._incidents = self._open_incidents()
        self._delivery: Delivery | None = None
        self._reports: queue.Queue[Callable[[], None] | None] = queue.Queue(_MOST_QUEUED)
        self._thread: threading.Thread | None = None
        self._was_stopped = False
        metrics.open_incidents = self.open
        metrics.channels = {"sentry": options.sentry is not None, "telegram": self._telegram is not None}

    def report(self, name: str, detail: str) -> None:
        """Report that something is wrong; call it from any thread, as often as you notice."""
        if name.endswith(_RECOVERED):
            prefix = name.removesuffix(_RECOVERED) + "-"
            self._later(lambda: self._recover_all(prefix))
        else:
            self._later(lambda: self._open(name, detail))

    def recovered(self, name: str) -> None:
        """Report that all is well again, as far as this process knows."""
        self._later(lambda: self._recover(name))

    def open(self) -> dict[str, float]:
        """Open incidents, and how long each has been open, in seconds; empty if they can't be read."""
        with suppress(sqlite3.Error):
            return self._incidents.open()
        return {}

    @asynccontextmanager
    async def running(self, database: str, answers_and_errors: Callable[[], tuple[int, int]]) -> AsyncIterator[None]:
        """Watch the application's state and send messages while it runs."""
        pulse = Pulse()
        watch = ConditionWatch(self._options, probes_of(database, answers_and_errors, pulse), self)
        beating = asyncio.create_task(pulse.beat())
        self.start()
        watch.start()
        try:
            yield
        finally:
            beating.cancel()
            await asyncio.to_thread(watch.stop)
            await asyncio.to_thread(self.stop)

    def start(self) -> None:
        """May be called again after `stop`: tests of an application start it many times in one process."""
        if self._was_stopped:
            self._incidents, self._was_stopped = self._open_incidents(), False
        self._delivery = self._make_delivery()
        self._thread = threading.Thread(target=self._work, name="alerts", daemon=True)
        self._thread.start()
        if self._delivery is not None:
            self._delivery.start()

    def stop(self) -> None:
        """Stop; earlier reports are still sent if that takes at most two seconds."""
        with suppress(queue.Full):
            self._reports.put_nowait(None)
        if self._thread is not None:
            self._thread.join(_STOP_S)
        if self._delivery is not None:
            self._delivery.stop(within_s=_STOP_S)
        with suppress(sqlite3.Error):
            self._incidents.withdraw()
        self._incidents.close()
        self._was_stopped = True

    def _open_incidents(self) -> Incidents:
        path = str(self._shared / FILE) if self._shared is not None else IN_MEMORY
        return Incidents(path, reporter=str(os.getpid()), keeps_messages=self._telegram is not None)

    def _make_delivery(self) -> Delivery | None:
        if (telegram := self._telegram) is None:
            return None
        return Delivery(
            self._incidents,
            lambda text: telegram.send(f"{self._where}\n{text}"),
            self._shared / _LOCK if self._shared is not None else None,
            lambda result: self._metrics.messages.labels(result).inc(),
        )

    def _later(self, work: Callable[[], None]) -> None:
        try:
            self._reports.put_nowait(work)
        except queue.Full:
            self._metrics.messages.labels("dropped").inc()

    def _work(self) -> None:
        while (work := self._reports.get()) is not None:
            try:
                work()
            except Exception as error:  # noqa: BLE001 - the next report must be handled in any case
                _log.warning("can't store an incident: %s", error)

    def _open(self, name: str, detail: str) -> None:
        try:
            message, dropped = self._incidents.report(name, detail)
        except sqlite3.Error:
            # A full disk, for example: log the incident at least.
            _log.warning("incident: %s: %s", name, detail)
            raise
        if message:
            self._metrics.opened.labels(name).inc()
        self._tell(message, dropped)

    def _recover(self, name: str) -> None:
        self._tell(*self._incidents.recovered(name))

    def _recover_all(self, prefix: str) -> None:
        for name in self._incidents.reported_by_us(prefix):
            self._recover(name)

    def _tell(self, message: str, dropped: int) -> None:
        if not message:
            return
        _log.warning("incident: %s", message)
        self._metrics.messages.labels("dropped").inc(dropped)
        if self._delivery is not None:
            self._delivery.look()
