"""The part of the process with the run directory that writes reports and announces progress."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import gevent

from loadproof.errors import OutputError
from loadproof.recording.announcements import DiskFull
from loadproof.recording.locustcsv import LocustCsv
from loadproof.users.post import THIS_PROCESS

if TYPE_CHECKING:
    from collections.abc import Callable

    from locust.env import Environment

    from loadproof.recording.reports import SecondReport
    from loadproof.recording.runwriter import RunWriter
    from loadproof.users.post import Post


_TICK_DELAY_S: Final = 0.2
"""How long after the full second progress is announced, so that the workers' reports have arrived."""


class Writing:
    """Writes reports as they arrive, and announces progress once a second."""

    def __init__(self, environment: Environment, writer: RunWriter, post: Post = THIS_PROCESS) -> None:
        self._post = post
        self.writer = writer
        self._runner: Any = environment.runner
        self.csv = LocustCsv(environment, writer.path)
        self._greenlet: gevent.Greenlet | None = None
        self._disk_is_full = False
        environment.events.test_start.add_listener(self._begin)

    def _begin(self, **_: Any) -> None:
        self._greenlet = gevent.spawn(self._tick_every_second)

    def _tick_every_second(self) -> None:
        while True:
            self._post.clock.sleep(1 - (self._post.workload().now_s() - _TICK_DELAY_S) % 1)
            self._guard(self._tick)

    def _tick(self) -> None:
        self.csv.write()
        self._post.clock.sleep(0)
        self.writer.tick(self._post.workload().now_s())

    def take(self, report: SecondReport) -> None:
        self._guard(lambda: self.writer.write(report))

    def finish(self) -> None:
        if self._greenlet is not None:
            self._greenlet.kill()
        self._guard(self.csv.write)
        self._guard(self.writer.close)

    def _guard(self, write: Callable[[], None]) -> None:
        """Write, or stop the run if the disk is full; what has been written stays readable."""
        if self._disk_is_full:
            return
        try:
            write()
        except (OSError, OutputError) as error:
            self._disk_is_full = True
            self.writer.announce(DiskFull(str(error)))
            gevent.spawn(self._runner.quit)
