"""Runs of loadproof for benchmarks: starts them and loads their results."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

from bench.rounds import Unmeasured
from bench.serving import ROOT
from loadproof.analysis.frames.run import Run, load_run
from loadproof.analysis.judge import disturbances, health
from loadproof.analysis.word import Word
from loadproof.rundir import files


def only_run(out: Path) -> Path:
    """The only run directory in `out`; Unmeasured if there isn't exactly one."""
    runs = list(out.iterdir()) if out.exists() else []
    if len(runs) != 1:
        raise Unmeasured(f"loadproof left {len(runs)} run directories")
    return runs[0]


def verdict_of(run: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((run / files.VERDICT).read_text())
    except (OSError, ValueError) as error:
        raise Unmeasured(f"no verdict: {error}") from error
    return found


def measured_run(out: Path) -> Run:
    """The only run in `out`; Unmeasured unless its verdict is PASS."""
    run = only_run(out)
    verdict = verdict_of(run)
    if verdict["verdict"] != Word.PASS:
        raise Unmeasured(f"loadproof: {verdict['verdict']}: {verdict['reason']}")
    return load_run(run)


def saturated_run(out: Path) -> Run:
    """The only run in `out`, whose generator may have reached its limit; Unmeasured if anything else was wrong."""
    path = only_run(out)
    verdict_of(path)
    run = load_run(path)
    for what in broken(run):
        raise Unmeasured(f"loadproof: {what}")
    return run


def broken(run: Run) -> Iterator[str]:
    """Everything that makes a run INVALID, except that its core is busy or shared.

    Other tools keep rounds in which another program took part of the core, so we must, too.
    """
    for examine in health.RULES:
        yield from (finding.what for finding in examine(run) if finding.word is Word.INVALID)
    for disturb in disturbances.RULES:
        yield from (found.what for found in disturb(run) if found.decides)


def process_of(pid: int, module: str) -> psutil.Process:
    """The descendant of this process that runs this Python module; Unmeasured if there is none."""
    try:
        processes = [child for child in psutil.Process(pid).children(recursive=True) if module in child.cmdline()]
    except psutil.Error as error:
        raise Unmeasured(f"the run is over: {error}") from error
    if not processes:
        raise Unmeasured(f"the run has no process of {module}")
    return processes[0]


class BackgroundRun:
    """A `loadproof` command running in the background."""

    def __init__(self, *arguments: object) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "loadproof", *map(str, arguments)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self._process.pid).children(recursive=True)

    def child(self, module: str) -> psutil.Process:
        return process_of(self._process.pid, module)

    def wait_for_phase(self, reports: Path, phase: str, timeout_s: float = 60) -> None:
        """Wait until this phase of the run has begun; Unmeasured if it doesn't."""

        def is_there() -> bool:
            return any(f"phase,{phase}" in path.read_text() for path in reports.glob("*/events.csv"))

        self._wait(is_there, timeout_s)

    def _wait(self, has_come: Callable[[], bool], timeout_s: float) -> None:
        deadline_s = time.monotonic() + timeout_s
        while not has_come():
            if self._process.poll() is not None or time.monotonic() > deadline_s:
                self._process.terminate()
                raise Unmeasured("the run ended early, or never began")
            time.sleep(0.02)

    def end(self, timeout_s: float = 90) -> None:
        """Wait for the command to exit, discarding its output."""
        self._process.communicate(timeout=timeout_s)
