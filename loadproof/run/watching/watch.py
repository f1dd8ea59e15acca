"""Watches a running generator until it is over: how the run went, and how it ended."""

from __future__ import annotations

import selectors
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

from loadproof.errors import OutputError
from loadproof.generator.guards.lastwords import said_in
from loadproof.recording.announcements import (
    Begun,
    DiskFull,
    PlanIsOver,
    StopAsked,
    StrangerRefused,
    Tick,
    WorkerLost,
)
from loadproof.run.faults.faults import Faults
from loadproof.run.target.metrics import MetricsSampler
from loadproof.run.watching.beside import Beside
from loadproof.run.watching.course import Course
from loadproof.run.watching.listener import Listener
from loadproof.rundir import files
from loadproof.rundir.manifest import Manifest, write_manifest
from loadproof.rundir.rows import REDIS_DIED, EventRow

if TYPE_CHECKING:
    from loadproof.recording.announcements import Announcement
    from loadproof.run.processes.locust import Generator
    from loadproof.run.processes.stopping import StopSignal
    from loadproof.run.target.embedded import EmbeddedTarget
    from loadproof.run.watching.progress import Progress
    from loadproof.rundir.manifest import Ending
    from loadproof.scenario.scenario import Scenario


_PATIENCE_S: Final = 10.0
"""How long the generator may take to start, or to stop when asked, in addition to the scenario's timeouts."""
_LISTEN_S: Final = 0.2
_GRACE_AFTER_DEATH_S: Final = 2.0
"""How long to continue after the target died, so that the run shows what users experienced."""
_STRANGER: Final = "its LOADPROOF_SECRET is different or missing"
Broken = Callable[[float], str | None]
"""From a second of the run, the reason to abort it because a threshold is violated; None if there is none."""


def stop_patience_s(scenario: Scenario) -> float:
    """How long a generator may take to stop when asked to, in s."""
    return scenario.timeouts.connect + scenario.timeouts.total + _PATIENCE_S


def with_ending(manifest: Manifest, ending: Ending, detail: str, at_unix_s: float | None = None) -> Manifest:
    """The manifest with its ending, by default now."""
    end_unix_s = time.time() if at_unix_s is None else at_unix_s
    return manifest.model_copy(update={"end_unix_s": end_unix_s, "ending": ending, "ending_detail": detail})


class Surroundings:
    """What a watch needs from the system: clocks, a selector for the generator's pipe, and a sampler of the target."""

    now_s = staticmethod(time.monotonic)
    unix_s = staticmethod(time.time)
    selector = selectors.DefaultSelector
    sampler = MetricsSampler


class Watch:
    """Watches the generator until it ends, and determines how the run ended."""

    def __init__(
        self,
        path: Path,
        manifest: Manifest,
        *,
        generator: Generator,
        target: EmbeddedTarget | None,
        broken: Broken | None,
        faults: Faults | None = None,
        around: Surroundings | None = None,
    ) -> None:
        """`around` replaces the system in a simulation."""
        self._around = around or Surroundings()
        self._path = path
        self._manifest = manifest
        self._generator = generator
        self._listener = Listener(generator.pipe)
        self._target = target
        self._faults = faults or Faults()
        self._judging = Beside(broken) if broken else None
        self._sampler: MetricsSampler | None = None
        """Set once the run has begun."""
        self._zero_s: float | None = None
        """Second 0 by the monotonic clock; None until the run has begun."""
        patience_s = stop_patience_s(manifest.scenario)
        self._course = Course(
            generator,
            now_s=self._around.now_s,
            longest_s=generator.wait_s + manifest.phases[-1].end_s + 3 * patience_s,
            stop_patience_s=patience_s,
        )
        self._plan_is_over = False
        self._noted: set[str] = set()
        """Kinds of events noted so far, if they are noted only once."""

    def until_over(self, progress: Progress, stop_signal: StopSignal) -> Manifest:
        """Watch until the generator has ended for any reason; the returned manifest says how."""
        with self._around.selector() as selector:
            selector.register(self._generator.pipe, selectors.EVENT_READ)
            while self._generator.leader.poll() is None:
                if selector.select(_LISTEN_S):
                    self._listen(progress)
                    if self._listener.has_ended:
                        selector.unregister(self._generator.pipe)
                if stop_signal and not self._course.is_stopped:
                    self._stop(stop_signal.ending, stop_signal.name)
                self._look_after_target()
                self._look_after_redis(progress)
                self._look_after_workers()
                self._look_after_sampler()
                self._look_at_thresholds(progress)
                self._course.enforce()
        self._listen(progress)
        self._faults.end()
        self._look_after_redis(progress)
        if self._sampler is not None:
            self._sampler.stop()
            self._look_after_sampler()
        if self._course.is_whole and (self._generator.leader.returncode or not self._plan_is_over):
            self._course.becomes("generator_died", f"{self._how_it_died()}; see generator.log")
        return with_ending(self._manifest, self._course.ending, self._course.detail, self._around.unix_s())

    def _how_it_died(self) -> str:
        code = self._generator.leader.returncode
        if self._sampler is None and self._generator.wait_s:
            refused = f", and a connection was refused: {_STRANGER}" if "stranger" in self._noted else ""
            return f"fewer than {self._manifest.workers} workers connected in time{refused}"
        what = f"Locust ended with code {code}" if code else "Locust ended before the plan was over"
        return f"{what}{said_in(self._path / files.GENERATOR_LOG)}"

    def _listen(self, progress: Progress) -> None:
        for announcement in self._listener.read():
            self._hear(announcement, progress)

    def _hear(self, announcement: Announcement, progress: Progress) -> None:
        match announcement:
            case Begun():
                self._begin(announcement)
            case Tick():
                progress.show(announcement)
                if self._judging is not None:
                    self._judging.ask(announcement.now_s)
            case PlanIsOver():
                self._plan_is_over = True
            case StopAsked(where):
                self._course.becomes("interrupted", where)
            case DiskFull(reason):
                # The generator ends by itself, unless its log can't be written either.
                self._course.becomes("disk_full", reason)
                self._course.expect_end()
            case WorkerLost(detail):
                self._lose_worker(detail)
            case StrangerRefused():
                # Not one of our workers, so nothing changes; but the user may be waiting for it.
                what = f"a connection to the master's port was refused: {_STRANGER}"
                self._say_once(progress, what, kind="stranger", detail=_STRANGER)

    def _begin(self, begun: Begun) -> None:
        self._manifest = self._manifest.model_copy(update=asdict(begun))
        # From here on without the wall clock, which somebody may set.
        self._zero_s = self._around.now_s() - self._now_s()
        self._keep(lambda: write_manifest(self._path, self._manifest))
        self._course.begin(begun.start_unix_s - self._around.unix_s())
        self._faults.begin(self._manifest.start_unix_s, self._note)
        self._sampler = self._around.sampler(self._path, self._manifest)
        self._sampler.start()

    def _say_once(self, progress: Progress, text: str, *, kind: str, detail: str) -> None:
        """Show the text and record an event, but only once for each kind."""
        if kind not in self._noted:
            self._noted.add(kind)
            progress.say(text)
            self._note(kind, detail)

    def _note(self, kind: str, detail: str) -> None:
        self._keep(lambda: files.append_rows(self._path / files.EVENTS, [EventRow(self._now_s(), kind, detail)]))

    def _keep(self, write: Callable[[], None]) -> None:
        """Write to the run directory; a failed write ends the run, but the results so far are kept."""
        try:
            write()
        except (OSError, OutputError) as error:
            self._course.stop_unrecorded(str(error))

    def _now_s(self) -> float:
        """Since second 0."""
        if self._zero_s is not None:
            return self._around.now_s() - self._zero_s
        return self._around.unix_s() - self._manifest.start_unix_s

    def _stop(self, ending: Ending, detail: str, *, in_s: float = 0.0) -> None:
        self._course.stop(ending, detail, in_s=in_s)
        self._note(ending, detail)

    def _look_at_thresholds(self, progress: Progress) -> None:
        """Stop the run if a background check says so; if the check fails, the verdict still covers the whole run."""
        if self._judging is None:
            return
        if self._course.is_whole and (threshold := self._judging.latest):
            self._stop("aborted", threshold)
        if (trouble := self._judging.trouble) is not None:
            what = f"thresholds with `abort` can't be judged: {type(trouble).__name__}"
            text = f"{what}: {trouble}; the run continues to the end"
            self._say_once(progress, text, kind="unjudged", detail=what)

    def _look_after_target(self) -> None:
        if self._target is not None and self._target.poll() is not None and self._course.is_whole:
            self._stop("target_died", f"exit code {self._target.returncode}", in_s=_GRACE_AFTER_DEATH_S)

    def _look_after_redis(self, progress: Progress) -> None:
        """Note that the run's Redis died; the run goes on, because it shows how the target copes."""
        redis = self._faults.servers.get("redis")
        if redis is not None and redis.poll() is not None:
            self._say_once(progress, "this run's Redis died", kind=REDIS_DIED, detail="see redis.log")

    def _look_after_workers(self) -> None:
        for number, worker in enumerate(self._generator.workers, start=1):
            code = worker.poll()
            # Unless something is wrong, workers only end when the plan is over, which the leader announces to us before
            # it stops them.
            if code or (code == 0 and not self._plan_is_over):
                what = f"process {number} of the workers ended with code {code}"
                self._lose_worker(f"{what}{said_in(self._path / files.GENERATOR_LOG)}")

    def _lose_worker(self, detail: str) -> None:
        if self._course.is_whole:
            self._stop("generator_died", detail)

    def _look_after_sampler(self) -> None:
        if self._sampler is not None and self._sampler.trouble is not None:
            self._course.stop_unrecorded(self._sampler.trouble)
