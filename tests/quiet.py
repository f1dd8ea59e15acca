"""Tests of the run's own word: on a busy machine a right verdict is INVALID, and says nothing about the code."""

from __future__ import annotations

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
from tests.commands import verdict_of

TRIES: Final = 2
QUIET_RATIO: Final = 0.1
"""Of this process's cores: a machine of which others use less is quiet."""
SKIPPED: Final = "want of quiet"


class OthersUse:
    """How much of the cores programs that this one did not start have used since this was made."""

    def __init__(self) -> None:
        self._began_s = time.monotonic()
        self._all_s, self._own_s = _used_s()

    def ratio(self) -> float:
        """Of all the time that the cores had, 0-1; children count as ours once they have ended."""
        all_s, own_s = _used_s()
        had_s = (time.monotonic() - self._began_s) * len(_cores())
        return ((all_s - self._all_s) - (own_s - self._own_s)) / had_s


def _used_s() -> tuple[float, float]:
    """CPU time of everybody on the cores that this process may use, what is stolen included; and of ours."""
    per_core = psutil.cpu_times(percpu=True)
    # A guest's time is in the user's, too.
    idle = {"idle", "iowait", "guest", "guest_nice"}
    everybody_s = sum(
        seconds for core in _cores() for name, seconds in per_core[core]._asdict().items() if name not in idle
    )
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return everybody_s, sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _cores() -> set[int]:
    return os.sched_getaffinity(0)


def run_when_quiet(run_once: Callable[[], Path]) -> Path:
    """The run directory of the first try that the machine let be measured; skips when none of them was.

    `run_once` makes a run in a new directory. A skip of a quiet machine is a failure: then it was no want of quiet.
    """
    used = []
    for _ in range(TRIES):
        others = OthersUse()
        run = run_once()
        if not wanted_quiet(run):
            return run
        used.append(others.ratio())
    reason = f"{TRIES} runs were INVALID: {verdict_of(run)['reason']}"
    told = f"others used {min(used):.0%} of the cores"
    if min(used) < QUIET_RATIO:
        pytest.fail(f"{reason} But this machine is quiet: {told}")
    pytest.skip(f"{SKIPPED}: {reason} For {told}")


def wanted_quiet(run: Path) -> bool:
    """Whether it is INVALID because something disturbed the generator, and for no other reason."""
    loaded = load_run(run)
    invalid = {finding.what for finding in findings_in(loaded) if finding.word is Word.INVALID}
    disturbed = {finding.what for finding in disturbances(loaded) if finding.word is Word.INVALID}
    return bool(invalid) and invalid <= disturbed
