"""A checked scenario to a whole run directory: target up, Locust run, target sampled, everything stopped."""

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
from loadproof.run import children, locust
from loadproof.run.assignment import Assignment, new_manifest
from loadproof.run.openfiles import allow_open_files, connections_needed
from loadproof.run.reference import reference_target
from loadproof.run.shipped import scenario_file
from loadproof.run.stopping import UnheededStopError
from loadproof.run.watch import Broken, Watch, stop_patience_s, with_ending
from loadproof.rundir import files
from loadproof.rundir.manifest import Manifest, read_manifest, write_manifest

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from loadproof.run.progress import Progress
    from loadproof.run.stopping import StopSignal
    from loadproof.rundir.manifest import Manifest

_WATCHING_NICENESS: Final = 10
_LEAVING_S: Final = 10.0
"""Beyond the time that the watch itself gives the generator to stop."""


def run(
    assignment: Assignment,
    path: Path,
    progress: Progress,
    stop_signal: StopSignal,
    *,
    broken: Broken | None = None,
) -> Manifest:
    """Fill the run directory: to the end, to the first signal or to the first mishap; the manifest that says which.

    OutputError when the directory takes nothing from the start. Once something may have been measured, what it doesn't
    take is an ending like others.
    """
    scenario = assignment.scenario
    files.write_whole(path / files.SCENARIO, scenario_file(assignment.scenario_file).read_text(encoding="utf-8"))
    allow_open_files(connections_needed(scenario))
    generator_cores, target_cores = children.share_cores(assignment.crew.local_workers)
    secret = _webhook_secret(assignment)
    manifest = new_manifest(assignment, path.name, assignment.target.base_url if assignment.target else "")
    write_manifest(path, manifest)
    with _target_up(assignment, manifest, path, secret=secret, cores=target_cores, stop_signal=stop_signal) as target:
        manifest = target.manifest
        if stop_signal:
            manifest = with_ending(manifest, stop_signal.ending, stop_signal.name)
        else:
            with locust.running_generator(manifest, path, assignment.crew, generator_cores, secret) as generator:
                watch = Watch(path, manifest, generator=generator, target=target.process, broken=broken)
                with stop_signal.heeded_within(stop_patience_s(scenario) + _LEAVING_S):
                    manifest = _watch_in_thread(watch, path, progress, stop_signal)
    return _write_last(path, manifest)


def _webhook_secret(assignment: Assignment) -> dict[str, str]:
    """A key for this run, as a variable; somebody's own target has one, and workers from elsewhere can't know it."""
    has_own_key = assignment.target is None and assignment.crew.listen is None
    return {variables.WEBHOOK_SECRET: signing.new_webhook_secret()} if has_own_key else {}


class _Target(NamedTuple):
    process: subprocess.Popen[bytes] | None
    """None of somebody's own."""
    manifest: Manifest
    """With where it is."""


@contextmanager
def _target_up(
    assignment: Assignment,
    manifest: Manifest,
    path: Path,
    *,
    secret: dict[str, str],
    cores: set[int],
    stop_signal: StopSignal,
) -> Iterator[_Target]:
    """Somebody's own target is left as it is; else the embedded one is up, in the manifest, and stopped at the end."""
    if assignment.target is not None:
        yield _Target(None, manifest)
        return
    with reference_target(
        assignment.scenario, secret=secret, cores=cores, directory=path, stop_requested=stop_signal.__bool__
    ) as reference:
        facts = manifest.target.model_copy(update={"base_url": reference.base_url, "redis": reference.redis})
        manifest = manifest.model_copy(update={"target": facts})
        write_manifest(path, manifest)
        yield _Target(reference.process, manifest)


def _write_last(path: Path, manifest: Manifest) -> Manifest:
    """The last word on how it ended, which stays even where nothing can be written any more."""
    try:
        write_manifest(path, manifest)
    except OutputError as error:
        if manifest.ending not in {"interrupted", "terminated", "disk_full"}:
            return manifest.model_copy(update={"ending": "disk_full", "ending_detail": str(error)})
    return manifest


def _watch_in_thread(watch: Watch, path: Path, progress: Progress, stop_signal: StopSignal) -> Manifest:
    """Signals go on reaching the main thread, which waits."""
    watching = ThreadPoolExecutor(1, initializer=_yield_cores)
    try:
        return watching.submit(watch.until_over, progress, stop_signal).result()
    except UnheededStopError as error:
        sys.stderr.write(f"{Problem('run', str(error), 'check generator.log')}\n")
        return with_ending(read_manifest(path), stop_signal.ending, stop_signal.name)
    except Exception as error:
        # What was measured is kept, and is no whole run.
        detail = f"loadproof itself failed: {type(error).__name__}"
        _write_last(path, with_ending(read_manifest(path), "generator_died", detail))
        raise
    finally:
        # A thread that still watches ends with the processes that it watches.
        watching.shutdown(wait=False)


def _yield_cores() -> None:
    """This thread only watches, and must not take a core from generator or target.

    Linux knows niceness by threads. A whole process that has become nice stays so, and so do all that it starts later:
    the next scenario of a gate would be measured by a generator that waits for everybody.
    """
    if sys.platform == "linux":
        thread = threading.get_native_id()
        # Who was started nicer yet, by `nice -n 19` say, may not become less so.
        os.setpriority(os.PRIO_PROCESS, thread, max(_WATCHING_NICENESS, os.getpriority(os.PRIO_PROCESS, thread)))
