"""The part of a process with users that reports its measurements once a second."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any, Final

import gevent
from gevent.lock import Semaphore

from loadproof.recording.locuststats import LocustStatistics
from loadproof.users.post import THIS_PROCESS
from loadproof.users.user import api_users

if TYPE_CHECKING:
    from collections.abc import Callable

    from locust.env import Environment

    from loadproof.recording.reports import SecondReport
    from loadproof.users.post import Post


_GARBAGE_THRESHOLDS: Final = (50_000, 50, 100)
"""High, because a request leaves no cycles behind: by default, the collector would run every hundred requests."""


def look_for_garbage_rarely(**_: Any) -> None:
    """Collect garbage rarely, and never scan existing objects again: each scan would stall the event loop."""
    gc.freeze()
    gc.set_threshold(*_GARBAGE_THRESHOLDS)


class Measuring:
    """Reports at each full second, at the plan's end, and a last time when the users have stopped."""

    def __init__(
        self, environment: Environment, report: Callable[[SecondReport], None], post: Post = THIS_PROCESS
    ) -> None:
        self._post = post
        self._runner: Any = environment.runner
        # Plain users report each request to Locust themselves.
        self._statistics = LocustStatistics(environment) if api_users(environment) else None
        self._report = report
        self._greenlets: list[gevent.Greenlet] = []
        self._taking = Semaphore()
        """Held during a report, so that none is cut off: what it has taken is stored nowhere else."""
        environment.events.test_start.add_listener(self._begin)
        environment.events.test_stopping.add_listener(self._end_seconds)

    @property
    def is_sound(self) -> bool:
        """Whether it has begun, and none of its greenlets has failed."""
        return bool(self._greenlets) and not any(greenlet.exception for greenlet in self._greenlets)

    def _begin(self, **_: Any) -> None:
        if self._statistics is not None:
            self._post.recorder.feed(self._statistics)
        self._greenlets = [gevent.spawn(self._post.recorder.probe_event_loop), gevent.spawn(self._report_every_second)]

    def _report_every_second(self) -> None:
        while True:
            now_s = self._post.workload().now_s()
            self._post.clock.sleep(self._post.recorder.second_ends_s(now_s) - now_s)
            self._take()

    def _end_seconds(self, **_: Any) -> None:
        """End the last second before the users are stopped, which may take over a second and isn't part of the run."""
        if self._greenlets:
            self._post.recorder.end_early(self._post.workload().now_s())
            self._take()

    def finish(self) -> None:
        with self._taking:
            gevent.killall(self._greenlets)
        self._take(last=True)

    def _take(self, *, last: bool = False) -> None:
        with self._taking:
            now_s = self._post.workload().now_s()
            self._report(self._post.recorder.take(now_s, int(self._runner.user_count), last=last))
