"""A running generator, followed until it is over: how the run went, and how it ended."""

from __future__ import annotations

import json
import os
import selectors
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from loadproof.errors import OutputError
from loadproof.run.beside import Beside
from loadproof.run.progress import Tick
from loadproof.run.targetmetrics import MetricsSampler
from loadproof.rundir import files
from loadproof.rundir.manifest import Manifest, write_manifest
from loadproof.rundir.rows import EventRow

if TYPE_CHECKING:
    import subprocess

    from loadproof.run.locust import Generator
    from loadproof.run.progress import Progress
    from loadproof.run.stopping import StopSignal
    from loadproof.rundir.manifest import Ending
    from loadproof.scenario.scenario import Scenario


_PATIENCE_S: Final = 10.0
"""Beyond the scenario's own timeouts, how long the generator may take to start, or to stop when asked."""
_LISTEN_S: Final = 0.2
_GRACE_AFTER_DEATH_S: Final = 2.0
"""How long to go on after the target died, so that the run shows what its users saw."""
_STRANGER: Final = "whoever it was has a different LOADPROOF_SECRET, or none"
Broken = Callable[[float], str | None]
"""At a second of the run: what has broken a threshold that ends it, if anything has."""


def stop_patience_s(scenario: Scenario) -> float:
    """How long a generator may take to stop when it was asked to."""
    return scenario.timeouts.connect + scenario.timeouts.total + _PATIENCE_S


def ended(manifest: Manifest, ending: Ending, detail: str, at_unix_s: float | None = None) -> Manifest:
    """Now, if no other time is told."""
    end_unix_s = time.time() if at_unix_s is None else at_unix_s
    return manifest.model_copy(update={"end_unix_s": end_unix_s, "ending": ending, "ending_detail": detail})


class Surroundings:
    """What a watch asks of the system: the time, to be woken by the generator's pipe, and samples of the target."""

    now_s = staticmethod(time.monotonic)
    unix_s = staticmethod(time.time)
    selector = selectors.DefaultSelector
    sampler = MetricsSampler


class Watch:
    """Follows the generator until it is over, and knows in the end how the run ended."""

    def __init__(
        self,
        path: Path,
        manifest: Manifest,
        *,
        generator: Generator,
        target: subprocess.Popen[bytes] | None,
        broken: Broken | None,
        around: Surroundings | None = None,
    ) -> None:
        """A simulation has other surroundings."""
        self._around = around or Surroundings()
        self._path = path
        self._judging = Beside(broken) if broken else None
        self._has_failed_to_judge = False
        self._manifest = manifest
        self._generator = generator
        self._target = target
        self._sampler: MetricsSampler | None = None
        self._plan_is_over = False
        self._ending: Ending = "completed"
        self._detail = ""
        self._unread = b""
        self._refused_some = False
        self._stop_patience_s = stop_patience_s(manifest.scenario)
        longest_s = generator.wait_s + manifest.phases[-1].end_s + 2 * self._stop_patience_s
        self._kill_at_s = self._around.now_s() + longest_s
        self._stop_at_s: float | None = None

    def until_over(self, progress: Progress, stop_signal: StopSignal) -> Manifest:
        with self._around.selector() as selector:
            selector.register(self._generator.pipe, selectors.EVENT_READ)
            while self._generator.leader.poll() is None:
                if selector.select(_LISTEN_S) and not self._read(progress):
                    selector.unregister(self._generator.pipe)
                if stop_signal and self._stop_at_s is None:
                    self._end_soon(stop_signal.ending, stop_signal.name)
                self._look_after_target()
                self._look_after_workers()
                self._look_after_sampler()
                self._look_at_thresholds(progress)
                self._enforce_stop()
        self._read(progress)
        if self._sampler is not None:
            self._sampler.stop()
            self._look_after_sampler()
        if self._ending == "completed" and (self._generator.leader.returncode or not self._plan_is_over):
            self._ending, self._detail = "generator_died", f"{self._how_it_died()}; see generator.log"
        return ended(self._manifest, self._ending, self._detail, self._around.unix_s())

    def _how_it_died(self) -> str:
        code = self._generator.leader.returncode
        if self._sampler is None and self._generator.wait_s:
            refused = f", and a connection was refused: {_STRANGER}" if self._refused_some else ""
            return f"fewer than {self._manifest.workers} workers connected in time{refused}"
        return f"Locust ended with code {code}" if code else "Locust ended before the plan was over"

    def _read(self, progress: Progress) -> bool:
        """Handle what the generator told; False when it tells no more."""
        os.set_blocking(self._generator.pipe, False)
        try:
            chunk = os.read(self._generator.pipe, 1 << 20)
        except BlockingIOError:
            return True
        *lines, self._unread = (self._unread + chunk).split(b"\n")
        for line in lines:
            self._heard(json.loads(line), progress)
        return bool(chunk)

    def _heard(self, line: dict[str, Any], progress: Progress) -> None:
        if "start_unix_s" in line:
            self._manifest = self._manifest.model_copy(update=line)
            self._keep(lambda: write_manifest(self._path, self._manifest))
            self._sampler = self._around.sampler(self._path, self._manifest)
            self._sampler.start()
        elif "plan_is_over" in line:
            self._plan_is_over = True
        elif "disk_full" in line:
            # It ends by itself, unless its log can't be written either.
            self._ending, self._detail = "disk_full", line["disk_full"]
            self._kill_at_s = self._around.now_s() + self._stop_patience_s
        elif "stopped" in line:
            # It ends by itself, in order.
            self._ending, self._detail = "interrupted", line["stopped"]
        elif "worker_lost" in line:
            self._lost_worker(line["worker_lost"])
        elif "stranger" in line:
            self._refused(progress)
        else:
            tick = Tick(**line)
            progress.show(tick)
            if self._judging is not None:
                self._judging.ask(tick.now_s)

    def _refused(self, progress: Progress) -> None:
        """A process that is no worker of ours changes nothing; whoever waits for it should know why."""
        if not self._refused_some:
            self._refused_some = True
            progress.say(f"a connection to the master's port was refused: {_STRANGER}")
            self._note("stranger", _STRANGER)

    def _note(self, kind: str, detail: str) -> None:
        self._keep(lambda: files.append_rows(self._path / files.EVENTS, [EventRow(self._now_s(), kind, detail)]))

    def _keep(self, write: Callable[[], None]) -> None:
        """Write to the run directory; what it doesn't take ends the run, and what was measured stays."""
        try:
            write()
        except (OSError, OutputError) as error:
            self._recording_failed(str(error))

    def _recording_failed(self, reason: str) -> None:
        if self._ending in {"interrupted", "terminated", "disk_full"}:
            # Whoever stopped it has the first word, and it ends already.
            return
        self._ending, self._detail = "disk_full", reason
        if self._stop_at_s is None:
            self._stop_in(0.0)

    def _now_s(self) -> float:
        return self._around.unix_s() - self._manifest.start_unix_s

    def _look_at_thresholds(self, progress: Progress) -> None:
        """What was judged beside the watching; where that fails, the verdict is from the whole record all the same."""
        if self._judging is None:
            return
        if self._ending == "completed" and (threshold := self._judging.latest):
            self._end_soon("aborted", threshold)
        if self._judging.trouble is not None and not self._has_failed_to_judge:
            self._has_failed_to_judge = True
            what = f"thresholds with `abort` can't be judged: {type(self._judging.trouble).__name__}"
            progress.say(f"{what}: {self._judging.trouble}; the run goes on to its end")
            self._note("unjudged", what)

    def _look_after_target(self) -> None:
        if self._target is None or self._target.poll() is None or self._ending != "completed":
            return
        self._end_soon("target_died", f"exit code {self._target.returncode}", in_s=_GRACE_AFTER_DEATH_S)

    def _look_after_workers(self) -> None:
        for number, worker in enumerate(self._generator.workers, start=1):
            code = worker.poll()
            # Without a mistake they end only when the plan is over, which the leader tells before it tells them.
            if code or (code == 0 and not self._plan_is_over):
                self._lost_worker(f"process {number} of the workers ended with code {code}")

    def _look_after_sampler(self) -> None:
        if self._sampler is not None and self._sampler.trouble is not None:
            self._recording_failed(self._sampler.trouble)

    def _lost_worker(self, detail: str) -> None:
        if self._ending == "completed":
            self._end_soon("generator_died", detail)

    def _end_soon(self, ending: Ending, detail: str, in_s: float = 0.0) -> None:
        self._ending, self._detail = ending, detail
        self._stop_in(in_s)
        self._note(ending, detail)

    def _stop_in(self, in_s: float) -> None:
        self._stop_at_s = self._around.now_s() + in_s
        self._kill_at_s = self._stop_at_s + self._stop_patience_s

    def _enforce_stop(self) -> None:
        now_s = self._around.now_s()
        if self._stop_at_s is not None and now_s >= self._stop_at_s:
            self._generator.end_early()
            self._stop_at_s = float("inf")
        if now_s >= self._kill_at_s:
            self._generator.leader.kill()
            self._generator.leader.wait()
            if self._ending == "completed":
                self._ending, self._detail = "generator_died", "it did not end in time and was killed"
