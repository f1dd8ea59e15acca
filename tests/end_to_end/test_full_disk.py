"""A disk that fills up during a run, wherever it is noticed first: INVALID everywhere, and nothing is lost."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from loadproof.analysis.estimates.scope import tally
from loadproof.analysis.frames.run import load_run
from loadproof.analysis.judge.verdict import EXIT_CODES
from loadproof.analysis.word import Word
from loadproof.cli import judging
from loadproof.rundir import files
from loadproof.rundir.manifest import read_manifest
from simulation.rundirs import write_run
from tests.commands import (
    ENDLESS,
    GENERATOR,
    ROOT,
    Background,
    found,
    in_process,
    only_run,
    scenario_file,
    verdict_of,
    word_of,
)

pytestmark = pytest.mark.process

SHORT = {
    "phases": [{"name": "steady", "duration": "3 s", "users": 20}],
    "thresholds": [{"expect": "goodput_ratio >= 1 %"}],
}
WITHOUT_COVERAGE = {name: "" for name in os.environ if name.startswith("COV")}
"""Coverage could not write its own file."""


def run_of(path: Path, url: str, **changes: object) -> Background:
    arguments = ("run", scenario_file(path, **changes), "--out", path / "out")
    return Background(*arguments, **{"TARGET_URL": url, **WITHOUT_COVERAGE})


def fill_up(pid: int, room: int) -> None:
    """Let no file of this process grow beyond this many bytes from now on."""
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))


@pytest.mark.long
def test_a_report_that_does_not_fit_makes_the_run_invalid(tmp_path, shared_target):
    """The other files, which fit, agree with the terminal and the exit code."""
    run = run_of(tmp_path, shared_target.url, **SHORT)
    run.wait_for(tmp_path / "out/*/intervals.csv.gz")
    fill_up(run.process.pid, 16_000)
    assert run.end() == 4, run.output
    path = only_run(tmp_path / "out")
    assert "INVALID" in run.output
    assert "report.html can't be written: File too large" in " ".join(run.output.split())
    assert "Traceback" not in run.output
    assert not (path / files.REPORT).exists()
    assert verdict_of(path)["verdict"] == "INVALID"
    # The run itself is complete: with enough space it can be judged again.
    assert read_manifest(path).ending == "completed"
    judged = in_process("report", path)
    assert judged.returncode == EXIT_CODES[Word(verdict_of(path)["verdict"])], judged.stdout + judged.stderr
    assert word_of(path, "goodput_ratio >= 1 %") == "PASS"
    assert (path / files.REPORT).exists()


@pytest.mark.long
def test_a_manifest_that_does_not_fit_ends_the_run(tmp_path, shared_target):
    """From second 0 on the run isn't 'nothing was measured', and existing files stay."""
    run = run_of(tmp_path, shared_target.url, **ENDLESS)
    run.child(GENERATOR)
    fill_up(run.process.pid, 10)
    assert run.end() == 4, run.output
    assert "INVALID" in run.output
    assert "manifest.json: can't be written: File too large" in " ".join(run.output.split())
    assert "Traceback" not in run.output
    path = only_run(tmp_path / "out")
    assert read_manifest(path).ending == "running"
    assert run.survivors() == []


@pytest.mark.long
def test_target_samples_that_do_not_fit_end_the_run(tmp_path, shared_target):
    """They are part of the run like other files; earlier samples are kept."""
    run = run_of(tmp_path, shared_target.url, **ENDLESS)
    target = run.wait_for(tmp_path / "out/*/target.csv")
    run.eventually(lambda: target.stat().st_size)
    fill_up(run.process.pid, target.stat().st_size + 5)
    assert run.end() == 4, run.output
    path = only_run(tmp_path / "out")
    assert "INVALID  Recording stopped after" in run.output
    assert "target.csv: File too large" in " ".join(run.output.split())
    assert tally(load_run(path).intervals).sent > 0
    assert target.read_bytes().endswith(b"\n")


@pytest.mark.long
def test_a_gate_whose_files_do_not_fit_is_invalid(tmp_path, monkeypatch, shared_target):
    """And still measures its other scenarios."""
    judged = judging.judge_and_show

    def judged_while_somebody_takes_the_name(*arguments: object, **named: object) -> object:
        (directory,) = (tmp_path / "out").glob("*-gate")
        (directory / "gate.json").mkdir(exist_ok=True)
        return judged(*arguments, **named)

    monkeypatch.setattr(judging, "judge_and_show", judged_while_somebody_takes_the_name)
    monkeypatch.setattr("loadproof.analysis.report.run_page.render_run_page", lambda *_: "")
    file = scenario_file(tmp_path, **SHORT)
    done = in_process("gate", file, file, "--out", tmp_path / "out", TARGET_URL=shared_target.url)
    assert done.returncode == 4, done.stdout + done.stderr
    assert "gate.json: can't be written: Is a directory" in done.stdout
    assert len(list((tmp_path / "out").glob("*-gate/*/verdict.json"))) == 2


@pytest.mark.long
def test_a_target_that_dies_before_second_0_is_to_blame(tmp_path):
    """FAIL, although there was no request to answer."""
    run = Background("run", scenario_file(tmp_path, **ENDLESS), "--out", tmp_path / "out", "--workers", "2")
    target = run.child("payments_api")
    run.child(GENERATOR)
    target.kill()
    assert run.end() == 1, run.output
    path = only_run(tmp_path / "out")
    assert read_manifest(path).ending == "target_died"
    assert found(path, "the target died after") == {"FAIL"}
    assert found(path, "no request was recorded") == set()


def on_a_small_disk(path: Path, script: str, *, size: str = "10m") -> subprocess.CompletedProcess[str]:
    """Run in a separate mount namespace where `path` is a small disk; skips if the system doesn't allow that."""
    mount = f"mount -t tmpfs -o size={size} tmpfs {path}"
    if subprocess.run(["unshare", "-rm", "sh", "-c", mount], check=False, capture_output=True).returncode:
        pytest.skip("this system lets nobody mount a disk of his own")
    command = ["unshare", "-rm", "sh", "-c", f"{mount} && {script}"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=150)


@pytest.mark.long
def test_a_report_on_a_read_only_disk_is_one_line(tmp_path):
    """Nothing is measured, existing files stay, and there is no traceback."""
    run, disk = write_run(tmp_path / "run"), tmp_path / "disk"
    disk.mkdir()
    program = f"{sys.executable} -m tests.undrawn report {disk}/run"
    script = f"cp -r {run} {disk}/run && mount -o remount,ro {disk} && {program}"
    done = on_a_small_disk(disk, script)
    assert done.returncode == 2, done.stderr
    lines = done.stderr.splitlines()
    assert {line.partition(": ")[2] for line in lines} == {
        "can't be written: Read-only file system; free space there or choose another --out"
    }
    assert done.stdout == ""


@pytest.mark.long
def test_a_run_on_a_disk_that_fills_up_is_invalid(tmp_path):
    """A real disk, filled to the last byte by another process in the middle of the run."""
    disk = tmp_path / "disk"
    disk.mkdir()
    file = scenario_file(tmp_path, **ENDLESS)
    program = f"{sys.executable} -m tests.undrawn run {file} --out {disk}/out"
    filling = f"until ls {disk}/out/*/target.csv; do sleep 0.1; done; cat /dev/zero > {disk}/filling"
    done = on_a_small_disk(disk, f"({filling}) > /dev/null 2>&1 & {program}; code=$?; ls {disk}/out/*; exit $code")
    assert done.returncode == 4, done.stdout + done.stderr
    assert "INVALID  Recording stopped after" in done.stdout
    assert "Traceback" not in done.stderr
