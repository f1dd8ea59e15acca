"""A run is watched to its end, whatever happens to progress output and background judging."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from loadproof.analysis.judge.abort import AbortWatch
from loadproof.cli import judging
from loadproof.errors import ExitCode
from loadproof.run.watching import progress
from loadproof.rundir.manifest import read_manifest
from tests.commands import ENDLESS, code_of, in_process, only_run, scenario_file

pytestmark = [pytest.mark.process, pytest.mark.long]

ABORTING = {"expect": "error_ratio < 50 % for 2 s", "abort": True}


def mistaken(*_: object) -> str:
    raise ValueError("a mistake of ours")


def standing_still(*_: object) -> str:
    time.sleep(120)
    return ""


def test_an_error_in_judging_during_a_run_does_not_end_it(tmp_path, monkeypatch):
    """It runs to its end, and says that it could not be ended early."""
    monkeypatch.setattr(progress, "_JUDGE_EVERY_S", 0.0, raising=False)
    monkeypatch.setattr(judging, "judge_so_far", mistaken)
    monkeypatch.setattr(AbortWatch, "broken", mistaken)
    phases = [{"name": "steady", "duration": "4 s", "users": 20}]
    file = scenario_file(tmp_path, phases=phases, thresholds=[ABORTING, *ENDLESS["thresholds"]])
    done = in_process("run", file, "--out", tmp_path / "out")
    run = only_run(tmp_path / "out")
    assert (read_manifest(run).ending, done.returncode) == ("completed", code_of(run)), done.stdout + done.stderr
    assert "thresholds with `abort` can't be judged: ValueError: a mistake of ours; the run continues" in done.stdout


def once_it_measures(reports: Path, act: Callable[[], None]) -> None:
    """Act on this process's run in a thread, as soon as it has measured something."""

    def wait_and_act() -> None:
        deadline_s = time.monotonic() + 60
        while time.monotonic() < deadline_s:
            if list(reports.glob("*/intervals.csv.gz")):
                time.sleep(2)
                act()
                return
            time.sleep(0.05)

    threading.Thread(target=wait_and_act, daemon=True).start()


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def kill_target() -> None:
    """Kill the run's own target, not one that other tests of this process share."""
    targets = [child for child in psutil.Process().children(recursive=True) if "payments_api" in child.cmdline()]
    max(targets, key=psutil.Process.create_time).kill()


@pytest.mark.parametrize(
    ("act", "ending"), [(terminate, "terminated"), (kill_target, "target_died")], ids=["a signal", "a dead target"]
)
def test_endless_judging_does_not_stop_the_watch(tmp_path, monkeypatch, act, ending):
    """Signals and the target's end are noticed at once, and the run ends in bounded time."""
    monkeypatch.setattr(AbortWatch, "broken", standing_still)
    file = scenario_file(tmp_path, **ENDLESS | {"thresholds": [ABORTING, *ENDLESS["thresholds"]]})
    once_it_measures(tmp_path / "out", act)
    began_s = time.monotonic()
    done = in_process("run", file, "--out", tmp_path / "out")
    run = only_run(tmp_path / "out")
    code = ExitCode.TERMINATED if ending == "terminated" else code_of(run)
    assert (read_manifest(run).ending, done.returncode) == (ending, code), done.stdout + done.stderr
    assert time.monotonic() - began_s < 90
