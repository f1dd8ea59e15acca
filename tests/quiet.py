"""Tests of the run's own word: on a busy machine a right verdict is INVALID, and says nothing about the code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import psutil
import pytest

from analysis.frames.run import load_run
from analysis.judge.disturbances import disturbances
from analysis.judge.health import examine
from analysis.judge.judgement import Word
from tests.commands import verdict_of

TRIES: Final = 2
QUIET_RATIO: Final = 0.1
"""Of all cores: a machine of which others use less is quiet."""
_LOOK_S: Final = 2.0


def run_when_quiet(run_once: Callable[[], Path]) -> Path:
    """The run directory of the first try that the machine let be measured; skips when none of them was.

    `run_once` makes a run in a new directory. A skip on a quiet machine is a failure: then it was no want of quiet.
    """
    for _ in range(TRIES):
        run = run_once()
        if not wanted_quiet(run):
            return run
    reason = f"{TRIES} runs were INVALID: {verdict_of(run)['reason']}"
    if used_by_others() < QUIET_RATIO:
        pytest.fail(f"{reason}; but this machine is quiet")
    pytest.skip(f"want of quiet: {reason}")


def wanted_quiet(run: Path) -> bool:
    """Whether it is INVALID because something disturbed the generator, and for no other reason."""
    loaded = load_run(run)
    invalid = {finding.what for finding in examine(loaded) if finding.word is Word.INVALID}
    disturbed = {finding.what for finding in disturbances(loaded) if finding.word is Word.INVALID}
    return bool(invalid) and invalid <= disturbed


def used_by_others() -> float:
    """The part of all cores that is in use while this process waits."""
    return psutil.cpu_percent(_LOOK_S) / 100
