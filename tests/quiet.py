"""Tests of a run's verdict: on a busy machine the correct one is INVALID, and says nothing about the code."""

from __future__ import annotations

import json
import os
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import psutil
import pytest

from loadproof.analysis.frames.run import load_run
from loadproof.analysis.judge.disturbances import disturbances
from loadproof.analysis.judge.health import findings_in
from loadproof.analysis.word import Word
from loadproof.rundir import files
from loadproof.rundir.trials import CAPACITY

TRIES: Final = 2
QUIET_RATIO: Final = 0.1
"""A machine is quiet if other programs use less than this share of this process's cores."""
SKIPPED: Final = "want of quiet"


class OthersUse:
    """How much of the cores other programs, not started by this one, have used since this was created."""

    def __init__(self) -> None:
        self._began_s = time.monotonic()
        self._all_s, self._own_s = _used_s()

    def ratio(self) -> float:
        """Share of the cores' time, 0-1; children count as ours once they have ended."""
        all_s, own_s = _used_s()
        had_s = (time.monotonic() - self._began_s) * len(_cores())
        return ((all_s - self._all_s) - (own_s - self._own_s)) / had_s


def _used_s() -> tuple[float, float]:
    """CPU time in s used on this process's cores by all programs, including steal, and by ours."""
    per_core = psutil.cpu_times(percpu=True)
    # Guest time is included in user time.
    idle = {"idle", "iowait", "guest", "guest_nice"}
    everybody_s = sum(
        seconds for core in _cores() for name, seconds in per_core[core]._asdict().items() if name not in idle
    )
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return everybody_s, sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _cores() -> set[int]:
    return os.sched_getaffinity(0)


is_marked = False
"""Whether the test that runs has the mark `quiet`; set for each test."""


def run_when_quiet(run_once: Callable[[], Path], *, wanted: Callable[[Path], bool] | None = None) -> Path:
    """The run directory of the first try that could be measured; skips the test if none could.

    `run_once` makes a run in a new directory; `wanted` says whether that needed a quieter machine, by default as
    `wanted_quiet` does. On a quiet machine the test fails instead: then it wasn't the machine.
    """
    assert is_marked, "mark it `quiet`: it needs the machine to itself"
    used = []
    for _ in range(TRIES):
        others = OthersUse()
        run = run_once()
        if not (wanted or wanted_quiet)(run):
            return run
        used.append(others.ratio())
    reason = f"{TRIES} runs were INVALID: {_reason(run)}"
    told = f"others used {min(used):.0%} of the cores"
    if min(used) < QUIET_RATIO:
        pytest.fail(f"{reason} But this machine is quiet: {told}")
    pytest.skip(f"{SKIPPED}: {reason} For {told}")


def _reason(run: Path) -> str:
    file = next(run / name for name in (files.VERDICT, CAPACITY) if (run / name).exists())
    told = json.loads(file.read_text())
    return str(told.get("reason", told.get("found")))


def wanted_quiet(run: Path) -> bool:
    """Whether the run is INVALID only because something disturbed the generator."""
    loaded = load_run(run)
    invalid = {finding.what for finding in findings_in(loaded) if finding.word is Word.INVALID}
    disturbed = {finding.what for finding in disturbances(loaded) if finding.word is Word.INVALID}
    return bool(invalid) and invalid <= disturbed
