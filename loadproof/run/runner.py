"""A checked scenario to a whole run directory: target up, Locust run, target sampled, everything stopped."""

from __future__ import annotations

import json
import os
import selectors
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import requests

from loadproof import variables
from loadproof.api import signing
from loadproof.errors import Problem, TargetError
from loadproof.plan.clients import ACCOUNTS_PER_CLIENT, highest_client_index
from loadproof.plan.phases import plan_phases
from loadproof.run import children, environment, locust
from loadproof.run.locust import CrewOptions
from loadproof.run.openfiles import allow_open_files, connections_needed
from loadproof.run.progress import Tick
from loadproof.run.targetmetrics import MetricsSampler
from loadproof.rundir import files
from loadproof.rundir.files import EventRow, Manifest, TargetFacts
from loadproof.scenario.targetfile import resolved_headers

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from loadproof.run.locust import Generator
    from loadproof.run.progress import Progress
    from loadproof.rundir.files import Ending
    from loadproof.scenario.scenario import Scenario
    from loadproof.scenario.targetfile import TargetFile

_PATIENCE_S: Final = 10.0
"""Beyond the scenario's own timeouts, how long the generator may take to start, or to stop when asked."""
_WATCHING_NICENESS: Final = 10
_LISTEN_S: Final = 0.2
_GRACE_AFTER_DEATH_S: Final = 2.0
"""How long to go on after the target died, so that the run shows what its users saw."""
_PROBE_TIMEOUT_S: Final = 5.0


@dataclass(frozen=True)
class Assignment:
    """What to run: a scenario against a target (None: the embedded one)."""

    scenario: Scenario
    scenario_file: Path
    target: TargetFile | None
    seed: int
    command: str
    crew: CrewOptions = field(default_factory=CrewOptions)


class StopSignal:
    """Remembers the first SIGINT or SIGTERM instead of being interrupted by it."""

    def __init__(self) -> None:
        self.number: int | None = None

    def __bool__(self) -> bool:
        return self.number is not None

    @contextmanager
    def installed(self) -> Iterator[None]:
        def remember(number: int, _: object) -> None:
            self.number = self.number or number

        before = {number: signal.signal(number, remember) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @property
    def ending(self) -> Ending:
        return "interrupted" if self.number == signal.SIGINT else "terminated"

    @property
    def name(self) -> str:
        return "" if self.number is None else signal.Signals(self.number).name


Broken = Callable[[float], str | None]
"""At a second of the run: what has broken a threshold that ends it, if anything has."""


def run(
    assignment: Assignment,
    path: Path,
    progress: Progress,
    stop_signal: StopSignal,
    *,
    broken: Broken = lambda _: None,
) -> None:
    """Fill the run directory: to the end, to the first signal or to the first mishap; its manifest says which."""
    scenario = assignment.scenario
    files.write_whole(path / files.SCENARIO, assignment.scenario_file.read_text(encoding="utf-8"))
    allow_open_files(connections_needed(scenario))
    generator_cores, target_cores = children.share_cores(assignment.crew.local_workers)
    # Somebody's own target has its own key, and workers from elsewhere could not know a new one.
    has_own_key = assignment.target is None and assignment.crew.listen is None
    secret = {variables.WEBHOOK_SECRET: signing.new_secret()} if has_own_key else {}
    base_url = assignment.target.base_url if assignment.target else ""
    manifest = new_manifest(assignment, path.name, base_url)
    files.write_manifest(path, manifest)
    with ExitStack() as stack:
        target_process = None
        if assignment.target is None:
            embedded = children.embedded_target(
                embedded_settings(scenario) | secret,
                cores=target_cores,
                log=path / "target.log",
                stop_requested=stop_signal.__bool__,
            )
            target_process, base_url = stack.enter_context(embedded)
            target = manifest.target.model_copy(update={"base_url": base_url})
            manifest = manifest.model_copy(update={"target": target})
            files.write_manifest(path, manifest)
        if stop_signal:
            manifest = _ended(manifest, stop_signal.ending, stop_signal.name)
        else:
            generator = stack.enter_context(locust.started(manifest, path, assignment.crew, generator_cores, secret))
            _yield_cores()
            watch = _Watch(path, manifest, generator=generator, target=target_process, broken=broken)
            manifest = watch.until_over(progress, stop_signal)
    files.write_manifest(path, manifest)


def _yield_cores() -> None:
    """From here on this process only watches, and must not take a core from generator or target."""
    if hasattr(os, "setpriority"):
        os.setpriority(os.PRIO_PROCESS, 0, _WATCHING_NICENESS)


def _told_by(target: TargetFile) -> dict[str, Any]:
    return {"headers": target.headers, "account_ids": target.account_ids, "endpoints": target.endpoints}


def _ended(manifest: Manifest, ending: Ending, detail: str) -> Manifest:
    return manifest.model_copy(update={"end_unix_s": time.time(), "ending": ending, "ending_detail": detail})


def embedded_settings(scenario: Scenario) -> dict[str, str]:
    """The scenario's `settings:` as the reference target's environment."""
    settings = scenario.settings
    accounts = settings.accounts or ACCOUNTS_PER_CLIENT * (highest_client_index(scenario) + 1)
    limits = {f"LIMIT_{name.upper()}": limit for name, limit in settings.limits.items()}
    return {"LIMITER": settings.limiter, "ACCOUNTS": str(accounts), **limits}


def declared_limits(scenario: Scenario, target: TargetFile | None) -> dict[str, str]:
    """Limits per client and endpoint that the target says it keeps."""
    if target is not None:
        return target.limits
    return scenario.settings.limits if scenario.settings.limiter != "off" else {}


def probe(target: TargetFile) -> None:
    """One health request before anything is measured; TargetError unless something speaks HTTP there."""
    health = target.endpoints.health
    told = f"{health.method} {health.path}"
    try:
        requests.request(
            health.method,
            target.base_url + health.path,
            headers=resolved_headers(target.headers),
            timeout=_PROBE_TIMEOUT_S,
            allow_redirects=False,
            stream=True,
        ).close()
    except requests.Timeout:
        what = f"no answer to {told} within {_PROBE_TIMEOUT_S:g} s"
    except requests.ConnectionError as error:
        what = f"no HTTP answer to {told}: {_innermost(error)}"
    except requests.RequestException as error:
        what = f"not HTTP: {_innermost(error)}"
    else:
        return
    raise TargetError(Problem(target.base_url, what, "start the target, or correct its address"))


def _innermost(error: BaseException) -> str:
    """The reason under requests' and urllib3's wrappings: 'Connection refused'."""
    while error.__context__ is not None:
        error = error.__context__
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


def new_manifest(assignment: Assignment, run_id: str, base_url: str) -> Manifest:
    """What is about to run; the base URL of an embedded target may not be known yet."""
    scenario, target = assignment.scenario, assignment.target
    return Manifest(
        run_id=run_id,
        scenario=scenario,
        scenario_file=str(assignment.scenario_file),
        seed=assignment.seed,
        command=assignment.command,
        target=TargetFacts(
            kind="embedded" if target is None else "own",
            base_url=base_url,
            limits=declared_limits(scenario, target),
            **({} if target is None else _told_by(target)),
        ),
        phases=plan_phases(scenario),
        workers=assignment.crew.workers,
        revision=environment.revision(),
        versions=environment.versions(),
        host=environment.host(),
        start_unix_s=time.time(),
    )


class _Watch:
    """Follows the generator until it is over, and knows in the end how the run ended."""

    def __init__(
        self,
        path: Path,
        manifest: Manifest,
        *,
        generator: Generator,
        target: subprocess.Popen[bytes] | None,
        broken: Broken,
    ) -> None:
        self._path = path
        self._broken = broken
        self._manifest = manifest
        self._generator = generator
        self._target = target
        self._sampler: MetricsSampler | None = None
        self._ending: Ending = "completed"
        self._detail = ""
        self._unread = b""
        timeouts = manifest.scenario.timeouts
        self._stop_patience_s = timeouts.connect + timeouts.total + _PATIENCE_S
        self._kill_at_s = time.monotonic() + manifest.phases[-1].end_s + 2 * self._stop_patience_s
        self._stop_at_s: float | None = None

    def until_over(self, progress: Progress, stop_signal: StopSignal) -> Manifest:
        with selectors.DefaultSelector() as selector:
            selector.register(self._generator.pipe, selectors.EVENT_READ)
            while self._generator.leader.poll() is None:
                if selector.select(_LISTEN_S) and not self._read(progress):
                    selector.unregister(self._generator.pipe)
                if stop_signal and self._stop_at_s is None:
                    self._end_soon(stop_signal.ending, stop_signal.name)
                self._look_after_target()
                self._look_after_workers()
                self._enforce_stop()
        self._read(progress)
        if self._sampler is not None:
            self._sampler.stop()
        if self._generator.leader.returncode and self._ending == "completed":
            self._ending = "generator_died"
            self._detail = f"Locust ended with code {self._generator.leader.returncode}; see generator.log"
            if self._sampler is None and self._generator.waits_for_workers:
                self._detail = f"fewer than {self._manifest.workers} workers came in time; see generator.log"
        return _ended(self._manifest, self._ending, self._detail)

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
            files.write_manifest(self._path, self._manifest)
            self._sampler = MetricsSampler(self._manifest.target.base_url, self._path, self._manifest.start_unix_s)
            self._sampler.start()
        elif "disk_full" in line:
            # It ends by itself, unless its log can't be written either.
            self._ending, self._detail = "disk_full", line["disk_full"]
            self._kill_at_s = time.monotonic() + self._stop_patience_s
        elif "stopped" in line:
            # It ends by itself, in order.
            self._ending, self._detail = "interrupted", line["stopped"]
        elif "worker_lost" in line:
            self._lost_worker(line["worker_lost"])
        else:
            tick = Tick(**line)
            progress.show(tick)
            self._look_at_thresholds(tick.now_s)

    def _look_at_thresholds(self, now_s: float) -> None:
        if self._ending == "completed" and (threshold := self._broken(now_s)):
            self._end_soon("aborted", threshold)

    def _look_after_target(self) -> None:
        if self._target is None or self._target.poll() is None or self._ending != "completed":
            return
        self._end_soon("target_died", f"exit code {self._target.returncode}", in_s=_GRACE_AFTER_DEATH_S)

    def _look_after_workers(self) -> None:
        for number, worker in enumerate(self._generator.workers, start=1):
            if worker.poll() is not None and self._generator.leader.poll() is None:
                # The end of the run is seen on the workers first: only a code tells it from a death.
                code = worker.returncode
                if code:
                    self._lost_worker(f"process {number} of the workers ended with code {code}")

    def _lost_worker(self, detail: str) -> None:
        if self._ending == "completed":
            self._end_soon("generator_died", detail)

    def _end_soon(self, ending: Ending, detail: str, in_s: float = 0.0) -> None:
        self._ending, self._detail = ending, detail
        self._stop_at_s = time.monotonic() + in_s
        self._kill_at_s = self._stop_at_s + self._stop_patience_s
        time_s = time.time() - self._manifest.start_unix_s
        files.append_rows(self._path / files.EVENTS, [EventRow(time_s, ending, detail)])

    def _enforce_stop(self) -> None:
        now_s = time.monotonic()
        if self._stop_at_s is not None and now_s >= self._stop_at_s:
            self._generator.end_early()
            self._stop_at_s = float("inf")
        if now_s >= self._kill_at_s:
            self._generator.leader.kill()
            self._generator.leader.wait()
            if self._ending == "completed":
                self._ending, self._detail = "generator_died", "it did not end in time and was killed"
