"""Stand-ins in simulated time for Locust's runners, as far as a run needs them.

Source: locust/runners.py and locust/main.py 2.47. loadproof's real allotment decides how many users each worker gets;
users are real Locust users.
"""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import gevent
from gevent.event import Event
from gevent.pool import Group
from locust.runners import WorkerNode

from loadproof.internals.locustusers import is_stopping
from simulation.wire import FakeRunner

if TYPE_CHECKING:
    from collections.abc import Callable

    from loadproof.generator.crew.allotment import UserAllotment
    from simulation.clock import FakeClock, FakeTime
    from simulation.wire import Wire

_LAST_WORDS_S: Final = 0.5
"""How long a quitting master waits for its workers to get the message."""
_SPAWNED_S: Final = 0.05
"""How long a master waits for workers to report that their users exist."""
_STOP_TIMEOUT_S: Final = 3.0


class Child:
    """A child process as its parent sees it; like `subprocess.Popen`."""

    def __init__(self, on_signal: Callable[[], None] = lambda: None) -> None:
        self.returncode: int | None = None
        self._on_signal = on_signal

    def poll(self) -> int | None:
        return self.returncode

    def wait(self) -> int | None:
        return self.returncode

    def send_signal(self, _: int) -> None:
        if self.returncode is None:
            self._on_signal()

    def kill(self) -> None:
        self.ends(-9)

    def ends(self, code: int) -> None:
        if self.returncode is None:
            self.returncode = code


class PlayedRunner(FakeRunner):
    """Base of local runner, master and worker: users, stopping and quitting."""

    def __init__(self, wire: Wire, name: str, clock: FakeClock, time: FakeTime) -> None:
        super().__init__(wire, name)
        self.awake_s = clock.awake_s
        self.clock = clock
        self.child = Child()
        self.environment: Any = None
        self.users = Group()
        self._time = time
        self._has_begun = self._is_ending = False
        self._spawning: gevent.Greenlet | None = None

    @property
    def user_count(self) -> int:
        return len(self.users)

    @user_count.setter
    def user_count(self, _: int) -> None:
        pass

    def begin(self) -> None:
        if not self._has_begun:
            self._has_begun = True
            self.environment.events.test_start.fire(environment=self.environment)

    def soon_have_users(self, wanted: dict[str, int]) -> None:
        """Like `have_users`, instead of what it still waits for."""
        self._end_spawning()
        self._spawning = gevent.spawn(self.have_users, wanted)

    def _end_spawning(self) -> None:
        if self._spawning is not None:
            self._spawning.kill()

    def have_users(self, wanted: dict[str, int]) -> None:
        """Have this many users of each class: start missing ones and stop surplus ones."""
        classes = {cls.__name__: cls for cls in self.environment.user_classes}
        alive = [greenlet.args[0] for greenlet in self.users if greenlet.args]
        have = Counter(type(user).__name__ for user in alive)
        for name, count in wanted.items():
            for _ in range(count - have[name]):
                classes[name](self.environment).start(self.users)
            if have[name] > count:
                self._stop_users([user for user in alive if type(user).__name__ == name][: have[name] - count])

    def stop(self) -> None:
        """Stop all users; they may finish what they are doing, up to Locust's stop timeout."""
        if not self.has_stopped:
            self.environment.events.test_stopping.fire(environment=self.environment)
            self._end_spawning()
            self._stop_users([greenlet.args[0] for greenlet in self.users if greenlet.args])
            self.has_stopped = True

    def _stop_users(self, users: list[Any]) -> None:
        ending = Group()
        for user in users:
            ending.add(user.greenlet)
            if not is_stopping(user):
                gevent.spawn(user.stop, force=False)
        self._wait_for(ending)
        ending.kill()

    def _wait_for(self, ending: Group) -> None:
        ended = Event()
        gevent.spawn(lambda: (ending.join(), ended.set()))
        entry = self._time.call_at(self.awake_s(self._time.now_s + _STOP_TIMEOUT_S), ended.set)
        try:
            ended.wait()
        finally:
            entry.cancel()

    def quit(self) -> None:
        """Stop and exit cleanly."""
        if self._is_ending:
            return
        self._is_ending = True
        self.stop()
        self.say_farewell()
        self.has_quit = True
        self.environment.events.quit.fire(exit_code=self.environment.process_exit_code or 0)
        self.child.ends(self.environment.process_exit_code or 0)

    def say_farewell(self) -> None:
        """Called before the quit event."""


class PlayedWorker(PlayedRunner):
    """A worker, which has the users that the master tells it to have."""

    def __init__(self, wire: Wire, name: str, clock: FakeClock, time: FakeTime) -> None:
        super().__init__(wire, name, clock, time)
        self._newest_s = 0.0
        self.register_message("spawn", self._spawn)
        self.register_message("quit", lambda **_: self.quit(), concurrent=True)

    def _spawn(self, msg: Any, **_: Any) -> None:
        if msg.data["timestamp"] > self._newest_s and not self.has_stopped:
            self._newest_s = msg.data["timestamp"]
            self.begin()
            self.soon_have_users(msg.data["user_classes_count"])


class Leader(PlayedRunner):
    """The process that runs the plan's shape and so decides how many users there are."""

    def __init__(self, wire: Wire, name: str, clock: FakeClock, time: FakeTime) -> None:
        super().__init__(wire, name, clock, time)
        self.shape: Any = None
        self._shaping: gevent.Greenlet | None = None
        self._allotment: UserAllotment | None = None
        self._last: tuple[Any, ...] = ()

    def start_shape(self) -> None:
        self._shaping = gevent.spawn(self._shape)

    def _shape(self) -> None:
        while True:
            began_s = self.clock.now_s()
            tick = self.shape.tick()
            if tick is None:
                self.quit()
                return
            if tick != self._last:
                self._last = tick
                self.start(*tick)
            self.clock.sleep(max(0.0, 1 - (self.clock.now_s() - began_s)))

    def stop(self) -> None:
        if self._shaping is not None and self._shaping is not gevent.getcurrent():
            self._shaping.kill()
        super().stop()

    def start(self, users: int, rate: float, classes: list[Any] | None = None) -> None:
        if self._allotment is None:
            self._allotment = self.environment.dispatcher_class(self.nodes(), self.environment.user_classes)
        self.begin()
        self._allotment.new_dispatch(users, rate, classes)
        for wanted in self._allotment:
            self.give_out(wanted)

    def nodes(self) -> list[WorkerNode]:
        return [WorkerNode("local")]

    def give_out(self, wanted: dict[str, dict[str, int]]) -> None:
        self.soon_have_users(wanted["local"])


class PlayedMaster(Leader):
    """The master, which has no users itself."""

    def nodes(self) -> list[WorkerNode]:
        return [WorkerNode(worker.id) for worker in self.clients.ready]

    def give_out(self, wanted: dict[str, dict[str, int]]) -> None:
        for worker, counts in wanted.items():
            self.send_message("spawn", {"timestamp": self.clock.unix_s(), "user_classes_count": counts}, worker)
        self.clock.sleep(_SPAWNED_S)

    def hear_of(self, newcomer: SimpleNamespace) -> None:
        """Include a worker that is ready: as in Locust, all workers are told again how many users to have."""
        if self._allotment is not None and not self._is_ending:
            self._allotment.add_worker(WorkerNode(newcomer.id))
            self.start(self._last[0], self._last[1])

    def say_farewell(self) -> None:
        self.send_message("quit")
        self.clock.sleep(_LAST_WORDS_S)
