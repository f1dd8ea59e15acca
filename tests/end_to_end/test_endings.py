"""Runs that end early: a report of the data so far, the right exit code, and no process left."""

from __future__ import annotations

import os
import resource
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import psutil
import pytest

from loadproof.analysis.estimates.scope import tally
from loadproof.analysis.frames.journal import load_journal
from loadproof.analysis.frames.run import load_run
from loadproof.rundir import files
from loadproof.rundir.manifest import read_manifest
from tests.commands import (
    ENDLESS,
    GENERATOR,
    QUICK,
    ROOT,
    Background,
    found,
    in_process,
    only_run,
    scenario_file,
    verdict_of,
)

pytestmark = pytest.mark.process


@pytest.mark.parametrize(
    ("moment", "number", "code", "ending"),
    [
        pytest.param("starting", signal.SIGINT, 130, "interrupted", marks=pytest.mark.long),
        pytest.param("target up", signal.SIGTERM, 143, "terminated", marks=pytest.mark.long),
        ("bursts", signal.SIGINT, 130, "interrupted"),
    ],
)
def test_a_signal_at_any_moment_leaves_a_report_and_no_process(tmp_path, moment, number, code, ending):
    """Ctrl-C or SIGTERM: the data so far is judged, and nothing keeps running."""
    steady, bursts = {"name": "steady", "duration": "1 s", "users": 20}, QUICK["phases"][-1]
    phases = [steady, bursts | {"burst": {"times": 100, "every": "1 s"}}]
    file = scenario_file(tmp_path, **ENDLESS | {"phases": phases, "record": "requests"})
    run = Background("run", file, "--out", tmp_path / "out")
    match moment:
        case "starting":
            run.wait_for(tmp_path / "out/*")
        case "target up":
            run.child("payments_api")
        case "bursts":
            run.wait_for_phase(tmp_path / "out", "bursts")
    assert run.signalled(number) == code, run.output
    assert "Traceback" not in run.output
    assert run.survivors() == []
    path = only_run(tmp_path / "out")
    assert (path / files.REPORT).exists()
    assert read_manifest(path).ending == ending
    assert found(path, f"{ending} after") == {"INCONCLUSIVE"}
    # The journal has the same requests as the intervals.
    assert found(path, files.JOURNAL) == set()
    assert moment != "bursts" or (path / files.JOURNAL).exists()


TAKES_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, sys.argv[1:])
"""
"""Takes the terminal as its controlling one, because only that one hangs up on a session."""


class Terminal:
    """A separate terminal for a command; output is read until it closes."""

    def __init__(self, *arguments: object) -> None:
        ours, theirs = os.openpty()
        command = [sys.executable, "-m", "tests.undrawn", *map(str, arguments)]
        self._ours = ours
        self.process = subprocess.Popen(
            [sys.executable, "-c", TAKES_TERMINAL, *command],
            cwd=ROOT,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)

    def shows_until(self, condition: Callable[[], object], timeout_s: float = 60) -> None:
        deadline_s = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline_s
            if select.select([self._ours], [], [], 0.02)[0]:
                os.read(self._ours, 65_536)

    def close(self) -> int:
        """Close the terminal, so that the kernel hangs up; returns the command's exit code."""
        os.close(self._ours)
        return self.process.wait(timeout=60)


@pytest.mark.long
def test_a_terminal_that_closes_leaves_a_report(tmp_path):
    """Like SIGTERM, although there is nowhere to print to."""
    terminal = Terminal("run", scenario_file(tmp_path, **ENDLESS), "--out", tmp_path / "out")
    terminal.shows_until(lambda: list(tmp_path.glob("out/*/intervals.csv.gz")))
    children = psutil.Process(terminal.process.pid).children(recursive=True)
    assert terminal.close() == 143
    path = only_run(tmp_path / "out")
    manifest = read_manifest(path)
    assert (manifest.ending, manifest.ending_detail) == ("terminated", "SIGHUP")
    assert found(path, "terminated after") == {"INCONCLUSIVE"}
    assert (path / files.REPORT).exists()
    assert psutil.wait_procs(children, timeout=40)[1] == []


@pytest.mark.long
def test_no_process_outlives_a_killed_runner(tmp_path):
    """SIGKILL can't be handled, but both children notice, and the data so far can be judged."""
    run = Background("run", scenario_file(tmp_path, **ENDLESS, record="requests"), "--out", tmp_path / "out")
    run.wait_for(tmp_path / "out/*/journal.csv.gz")
    run.children()
    run.process.kill()
    run.process.communicate()
    assert run.survivors() == []
    path = only_run(tmp_path / "out")
    in_process("report", path)
    assert found(path, "cut off after") == {"INCONCLUSIVE"}
    assert tally(load_run(path).intervals).outcomes["ok"] > 0
    assert found(path, files.JOURNAL) == set()
    assert in_process("journal", path).stdout.count("\n") == 1 + len(load_journal(load_run(path))) > 1


@pytest.mark.long
def test_no_process_outlives_a_runner_killed_early(tmp_path):
    """While the generator imports Locust: it must not take the process that adopts it for its parent."""
    run = Background("run", scenario_file(tmp_path, **ENDLESS), "--out", tmp_path / "out")
    run.child(GENERATOR)
    run.children()
    run.process.kill()
    run.process.communicate()
    assert run.survivors() == []


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_generator_makes_the_run_invalid(tmp_path, number):
    """However cleanly it ends: requests that were not sent are no pass."""
    run = Background("run", scenario_file(tmp_path, **ENDLESS), "--out", tmp_path / "out")
    run.wait_for(tmp_path / "out/*/intervals.csv.gz")
    run.child(GENERATOR).send_signal(number)
    assert run.end() == 4, run.output
    path = only_run(tmp_path / "out")
    assert read_manifest(path).ending == "generator_died"
    assert verdict_of(path)["verdict"] == "INVALID"
    assert run.survivors() == []


@pytest.mark.long
def test_a_full_disk_is_invalid_and_keeps_the_results_so_far(tmp_path, shared_target):
    """The generator's files may no longer grow once it has begun: recording stops, and says so."""
    # Without coverage, which could not write its own file.
    environment = {name: "" for name in os.environ if name.startswith("COV")}
    run = Background(
        *("run", scenario_file(tmp_path, **ENDLESS, record="requests"), "--out", tmp_path / "out"),
        **{"TARGET_URL": shared_target.url, **environment},
    )
    run.wait_for(tmp_path / "out/*/journal.csv.gz")
    resource.prlimit(run.child(GENERATOR).pid, resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
    assert run.end() == 4
    path = only_run(tmp_path / "out")
    assert "Traceback" not in run.output
    assert "Recording stopped" in run.output
    assert "File too large" in run.output
    assert read_manifest(path).ending == "disk_full"
    assert found(path, "recording stopped after") == {"INVALID"}
    assert tally(load_run(path).intervals).sent > 0
    assert len(load_journal(load_run(path))) > 0
    assert found(path, files.JOURNAL) <= {"NOTE"}
    assert run.survivors() == []
