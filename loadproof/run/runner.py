"""Turns a checked scenario into a complete run directory: starts the target, runs Locust, samples, stops everything."""

from __future__ import annotations

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from loadproof import variables
from loadproof.api import signing
from loadproof.errors import OutputError, Problem
from loadproof.run.assignment import Assignment, new_manifest
from loadproof.run.audits.auditing import audited
from loadproof.run.faults.commands import commands_of
from loadproof.run.faults.faults import faults_of
from loadproof.run.machine.openfiles import allow_open_files, connections_needed
from loadproof.run.machine.selftests import carry
from loadproof.run.machine.shipped import scenario_file
from loadproof.run.processes import children, locust
from loadproof.run.processes.stopping import UnheededStopError
from loadproof.run.target.reference import reference_target
from loadproof.run.watching.course import FINAL_ENDINGS
from loadproof.run.watching.watch import Broken, Watch, stop_patience_s, with_ending
from loadproof.rundir import files
from loadproof.rundir.manifest import Manifest, read_manifest, write_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadproof.run.faults.faults import Faults
    from loadproof.run.processes.stopping import StopSignal
    from loadproof.run.target.embedded import EmbeddedTarget
    from loadproof.run.watching.progress import Progress
    from loadproof.rundir.manifest import TargetFacts

_WATCHING_NICENESS: Final = 10
_LEAVING_S: Final = 10.0
"""Patience after a signal, in addition to the time that the watch gives the generator to stop."""


def run(
    assignment: Assignment,
    path: Path,
    progress: Progress,
    stop_signal: StopSignal,
    *,
    broken: Broken | None = None,
) -> Manifest:
    """Run until the plan's end, a signal or the first failure, which the returned manifest names; fills the directory.

    OutputError if the directory can't be written from the start. Once something may have been measured, a failed write
    is an ending like any other.
    """
    scenario = assignment.scenario
    _write_first(assignment, path)
    allow_open_files(connections_needed(scenario))
    generator_cores, target_cores = children.share_cores(assignment.crew.local_workers)
    secret = _webhook_secret(assignment)
    manifest = new_manifest(assignment, path.name, assignment.target.base_url if assignment.target else "")
    write_manifest(path, manifest)
    with (
        faults_of(scenario, path, cores=target_cores) as faults,
        _target_up(
            assignment, manifest, path, secret=secret, cores=target_cores, stop_signal=stop_signal, faults=faults
        ) as target,
        audited(
            target.manifest,
            path,
            progress,
            secret=secret,
            stop_requested=stop_signal.__bool__,
            commands=faults.commands,
        ),
    ):
        manifest = target.manifest
        if stop_signal:
            manifest = with_ending(manifest, stop_signal.ending, stop_signal.name)
        else:
            with locust.running_generator(manifest, path, assignment.crew, generator_cores, secret) as generator:
                watch = Watch(path, manifest, generator=generator, target=target.embedded, broken=broken, faults=faults)
                with stop_signal.heeded_within(stop_patience_s(scenario) + _LEAVING_S):
                    manifest = _watch_in_thread(watch, path, progress, stop_signal)
    return _write_last(path, manifest)


def _write_first(assignment: Assignment, path: Path) -> None:
    """Write what is known before the run: the scenario, and this machine's last self-test."""
    text = assignment.scenario_text or scenario_file(assignment.scenario_file).read_text(encoding="utf-8")
    files.write_whole(path / files.SCENARIO, text)
    carry(path)


def _webhook_secret(assignment: Assignment) -> dict[str, str]:
    """A new webhook key for this run, as an environment variable.

    Nothing for your own target, which already has a key, or with workers on other machines, which can't know a new one.
    """
    has_own_key = assignment.target is None and assignment.crew.listen is None
    return {variables.WEBHOOK_SECRET: signing.new_webhook_secret()} if has_own_key else {}


class _Target(NamedTuple):
    embedded: EmbeddedTarget | None
    """None for your own target."""
    manifest: Manifest
    """The manifest with the target's address."""


@contextmanager
def _target_up(
    assignment: Assignment,
    manifest: Manifest,
    path: Path,
    *,
    secret: dict[str, str],
    cores: set[int],
    stop_signal: StopSignal,
    faults: Faults,
) -> Iterator[_Target]:
    """Start the embedded target, note it in the manifest, and stop it at the end; your own target is left alone."""
    if assignment.target is not None:
        if faults.keeper is not None:
            faults.commands = commands_of(assignment.target, faults.keeper, path)
        yield _Target(None, _noted(path, manifest, faults.in_front_of(manifest.target)))
        return
    with reference_target(
        assignment.scenario,
        secret=secret,
        cores=cores,
        directory=path,
        stop_requested=stop_signal.__bool__,
        faults=faults,
    ) as reference:
        facts = manifest.target.model_copy(update={"base_url": reference.base_url, "redis": reference.redis})
        if reference.base_url:
            facts = faults.in_front_of(facts)
        yield _Target(reference.embedded, _noted(path, manifest, facts))


def _noted(path: Path, manifest: Manifest, facts: TargetFacts) -> Manifest:
    """Write the manifest with these facts about the target, and return it."""
    manifest = manifest.model_copy(update={"target": facts})
    write_manifest(path, manifest)
    return manifest


def _write_last(path: Path, manifest: Manifest) -> Manifest:
    """Write the final manifest; if that fails, the returned one says so, unless the run was stopped anyway."""
    try:
        write_manifest(path, manifest)
    except OutputError as error:
        if manifest.ending not in FINAL_ENDINGS:
            return manifest.model_copy(update={"ending": "disk_full", "ending_detail": str(error)})
    return manifest


def _watch_in_thread(watch: Watch, path: Path, progress: Progress, stop_signal: StopSignal) -> Manifest:
    """Watch in a thread, so that signals still reach the main thread, which waits."""
    watching = ThreadPoolExecutor(1, initializer=_yield_cores)
    try:
        return watching.submit(watch.until_over, progress, stop_signal).result()
    except UnheededStopError as error:
        sys.stderr.write(f"{Problem('run', str(error), 'check generator.log')}\n")
        return with_ending(read_manifest(path), stop_signal.ending, stop_signal.name)
    except Exception as error:
        # The results so far are kept, but the run isn't complete.
        detail = f"loadproof itself failed: {type(error).__name__}"
        _write_last(path, with_ending(read_manifest(path), "generator_died", detail))
        raise
    finally:
        # If the thread is still watching, it ends with the processes that it watches.
        watching.shutdown(wait=False)


def _yield_cores() -> None:
    """Lower this thread's priority: it only watches, and must not take a core away from generator or target.

    On Linux, niceness is per thread. Lowering the priority of the whole process would be permanent and inherited by
    everything started later, such as the generator of a gate's next scenario.
    """
    if sys.platform == "linux":
        thread = threading.get_native_id()
        # A process that was started with an even lower priority, such as `nice -n 19`, may not raise it.
        os.setpriority(os.PRIO_PROCESS, thread, max(_WATCHING_NICENESS, os.getpriority(os.PRIO_PROCESS, thread)))
