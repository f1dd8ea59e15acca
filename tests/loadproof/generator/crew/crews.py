"""The processes of a run on simulated time: a clock for each, Locust's environment, a crew, and traffic to measure."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import gevent

from tests.unpatched import locust  # isort: skip

from loadproof.analysis.frames.run import Run, load_run
from loadproof.generator.crew.crew import LocalCrew, MasterCrew, WorkerCrew
from loadproof.http.messages import Timing
from loadproof.outcome import Outcome
from loadproof.plan.pacing import Due
from loadproof.recording.announcements import Announcement, announcement_of, line_of
from loadproof.recording.journalrows import EndedRequest
from loadproof.recording.runwriter import RunWriter
from loadproof.rundir.manifest import Manifest, write_manifest
from loadproof.users.post import Post
from loadproof.users.user import ApiUser
from simulation.clock import FakeClock, FakeTime
from simulation.rundirs import manifest, scenario
from simulation.wire import FakeRunner, Wire


class Process:
    """One process of a run, with its Locust environment."""

    def __init__(self, clock: FakeClock, runner: FakeRunner, kinds: Iterable[str] = ()) -> None:
        self.clock = clock
        self.post = Post(clock)
        self.runner = runner
        users = [type(kind, (ApiUser,), {"abstract": True, "endpoint": kind}) for kind in kinds]
        self.environment: Any = locust.env.Environment(user_classes=users)
        self.environment.runner = runner

    @property
    def recorder(self) -> Any:
        return self.post.workload().recorder

    def begin(self) -> None:
        self.environment.events.test_start.fire(environment=self.environment)

    def quit(self) -> None:
        self.environment.events.quit.fire(exit_code=0)

    def send(self, due_s: float, answer_s: float = 0.1, outcome: Outcome = Outcome.OK) -> None:
        """Send one request, answered after `answer_s`."""
        recorder, timing = self.recorder, Timing()
        recorder.started()
        timing.began_s = timing.sent_s = self.clock.now_s()
        self.clock.sleep(answer_s)
        timing.ended_s = self.clock.now_s()
        recorder.finished("balance", "GET", outcome, Due(due_s), timing, 10)
        if recorder.journals:
            moments = Due(due_s), timing.sent_s, timing.ended_s
            recorder.ended(EndedRequest("shared", "balance", *moments, 200, outcome, "", False, None, None))

    def send_each(self, times_s: list[float], **how: Any) -> gevent.Greenlet:
        """Send a request at each of these seconds of the run."""

        def live() -> None:
            for at_s in times_s:
                self.clock.sleep(max(0.0, at_s - self.post.workload().now_s()))
                self.send(at_s, **how)

        return gevent.spawn(live)


class Distributed:
    """A master and workers connected by a wire, whose clocks are wrong by the given amounts."""

    def __init__(
        self, path: Path, *ahead_s: float, way_s: float = 0.001, seed: int | None = None, plan: Any = None
    ) -> None:
        self.path = path
        self._way_s = way_s
        self.time = FakeTime(seed)
        self.wire = Wire(self.time, lambda: [way_s])
        self.manifest: Manifest = manifest(plan or scenario())
        self.told: list[Announcement] = []
        write_manifest(path, self.manifest)
        self.master = Process(self.time.clock(), self.wire.master())
        self.writer = TellingWriter(path, self.manifest, self.told)
        self.workers = [
            Process(
                self.time.clock(ahead_s=one, up_s=1000.0 * number),
                self.wire.worker(f"worker-{number}"),
                self.manifest.scenario.mix,
            )
            for number, one in enumerate(ahead_s, start=1)
        ]
        self.crew = MasterCrew(self.master.environment, self.writer, self.manifest, self.master.post)
        for worker in self.workers:
            WorkerCrew(worker.environment, worker.post)

    def begin(self, later_s: float = 0.0) -> None:
        """Begin as the shape does; second 0 is at 2 s, or later by `later_s`."""
        self.master.post.assign(self.manifest, rank=0, workers=1)
        lead_s = self.crew.lead_s + later_s
        self.master.post.workload().begin(lead_s)
        assert self.crew.begin(self.master.clock.unix_s() + lead_s) == len(self.workers)
        # A worker knows its share before Locust creates its users.
        self.time.advance_to(self._way_s + 0.01)
        for process in (self.master, *self.workers):
            process.begin()
        self.time.advance_to(max(0.5, 2 * self._way_s))

    def end(self, within_s: float = 60) -> float:
        """Tell the workers to end; returns how long that took."""
        began_s = self.time.now_s
        ending = gevent.spawn(self.crew.end)
        self.time.advance_until(ending.ready, within_s=within_s)
        ending.get()
        took_s = self.time.now_s - began_s
        quitting = gevent.spawn(self.master.quit)
        self.time.advance_until(quitting.ready, within_s=1)
        return took_s

    def run(self) -> Run:
        return load_run(self.path)

    def close(self) -> None:
        close(self.wire, self.crew)


class Local:
    """A single process that does everything."""

    def __init__(self, path: Path, plan: Any = None) -> None:
        self.path = path
        self.time = FakeTime()
        self.wire = Wire(self.time)
        self.process = Process(self.time.clock(), self.wire.master())
        self.manifest = manifest(plan or scenario())
        self.told: list[Announcement] = []
        write_manifest(path, self.manifest)
        self.process.post.assign(self.manifest, rank=0, workers=1)
        self.writer = TellingWriter(path, self.manifest, self.told)
        self.crew = LocalCrew(self.process.environment, self.writer, self.process.post)

    def begin(self) -> None:
        """Second 0 is at 0.5 s."""
        self.process.post.workload().begin(self.crew.lead_s)
        self.process.begin()

    def quit(self) -> None:
        quitting = gevent.spawn(self.process.quit)
        self.time.advance_until(quitting.ready, within_s=1)
        quitting.get()

    def run(self) -> Run:
        return load_run(self.path)

    def close(self) -> None:
        close(self.wire, self.crew)


def close(wire: Wire, crew: LocalCrew | MasterCrew) -> None:
    """End what normally ends with the process."""
    wire.close()
    crew.writing.csv.close()


class TellingWriter(RunWriter):
    """Also keeps its announcements in a list."""

    def __init__(self, path: Path, manifest: Manifest, told: list[Announcement]) -> None:
        super().__init__(path, manifest)
        self._told = told

    def announce(self, announcement: Announcement) -> None:
        self._told.append(announcement_of(line_of(announcement)))
