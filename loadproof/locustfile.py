"""What Locust loads beside the users when loadproof runs it: shape, dispatcher, and the recording."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import gevent
from locust import events

from loadproof import dispatcher, shape
from loadproof.errors import OutputError
from loadproof.locustcsv import LocustCsv
from loadproof.recorder import Recorder
from loadproof.users import api_users
from loadproof.workload import workload

if TYPE_CHECKING:
    from collections.abc import Callable

    from locust.env import Environment


class Dispatcher(dispatcher.ArrivalDispatcher):
    fixed_count = 1


class Shape(shape.PlanShape):
    dispatcher = Dispatcher


@events.init.add_listener
def _set_up(environment: Environment, **_: Any) -> None:
    recorder = workload().recorder
    if not isinstance(recorder, Recorder):
        raise SystemExit("loadproof/locustfile.py: no run directory; use `loadproof run`, or -f locustfiles alone")
    mix = workload().scenario.mix
    for cls in api_users(environment):
        if cls.endpoint in mix:
            cls.weight = mix[cls.endpoint].share * 100
    _Recording(environment, recorder)


class _Recording:
    """Begins with the test, writes at each full second of the run, and writes the rest when Locust quits."""

    def __init__(self, environment: Environment, recorder: Recorder) -> None:
        self._runner: Any = environment.runner
        self._recorder = recorder
        self._csv = LocustCsv(environment, recorder.path)
        self._greenlets = [gevent.spawn(self._quit_with_parent, os.getppid())]
        environment.events.test_start.add_listener(self._begin)
        # The last event of Locust's shutdown: users have stopped by now, whatever the stop came from.
        environment.events.quit.add_listener(self._finish)

    def _begin(self, **_: Any) -> None:
        self._greenlets += [gevent.spawn(self._recorder.probe_event_loop), gevent.spawn(self._write_every_second)]

    def _write_every_second(self) -> None:
        while True:
            gevent.sleep(1 - workload().now_s() % 1)
            if not self._written(self._recorder.flush):
                self._runner.quit()
                return

    def _finish(self, **_: Any) -> None:
        gevent.killall(self._greenlets)
        self._written(self._recorder.close)

    def _written(self, flush: Callable[[float, int], None]) -> bool:
        """False when the disk takes no more."""
        try:
            flush(workload().now_s(), int(self._runner.user_count))
            self._csv.write()
        except (OSError, OutputError) as error:
            self._recorder.announce(disk_full=str(error))
            return False
        return True

    def _quit_with_parent(self, parent: int) -> None:
        while os.getppid() == parent:
            gevent.sleep(0.5)
        self._runner.quit()
