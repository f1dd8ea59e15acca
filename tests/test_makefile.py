"""What the Makefile's test commands run, in which order, with programs that only note that they ran."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.commands import ROOT

pytestmark = pytest.mark.process

PROGRAM = """#!/bin/sh
echo "+ $*" >> "$NOTES"
case "$*" in *"-m pytest"*) sleep 0.5;; esac
echo "- $*" >> "$NOTES"
case "$*" in *"$FAILING"*) exit 1;; esac
"""


def noted(path: Path, *arguments: str, failing: str = "nothing") -> tuple[int, list[str]]:
    """The exit code of make, and when which program began (+) and ended (-)."""
    (path / "bin").mkdir()
    for name in ("python", "ruff", "mypy", "coverage"):
        (path / "bin" / name).write_text(PROGRAM)
        (path / "bin" / name).chmod(0o755)
    # As after an installation, so that make doesn't install.
    (path / "installed").touch()
    (path / "developed").touch()
    # Not the options of the make that runs these tests.
    own = {name: value for name, value in os.environ.items() if not name.startswith("MAKE") and name != "MFLAGS"}
    places = (f"VENV={path}", f"COVERED={path}/covered", f"SLOWEST={path}/slowest")
    done = subprocess.run(
        ["make", *arguments, *places],
        cwd=ROOT,
        env=own | {"NOTES": str(path / "notes"), "FAILING": failing},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (path / "notes").exists(), done.stdout + done.stderr
    return done.returncode, (path / "notes").read_text().splitlines()


def placed(notes: list[str], sign: str, text: str) -> list[int]:
    """The places of these notes."""
    return [place for place, note in enumerate(notes) if note.startswith(sign) and text in note]


def test_quiet_tests_run_alone_even_if_make_runs_several_jobs(tmp_path):
    """After all others, which run side by side."""
    code, notes = noted(tmp_path, "-j", "check")
    assert code == 0
    (began,), (ended,) = (placed(notes, sign, "-m quiet and not long") for sign in "+-")
    assert ended == began + 1
    beside = "-m not quiet and not long"
    assert max(placed(notes, "-", beside)) < began
    assert min(placed(notes, "-", beside)) > 1 + min(placed(notes, "+", beside))


@pytest.mark.parametrize(
    ("failing", "code"), [("nothing", 0), ("-m long and not quiet", 2), ("-m long and quiet", 2)], ids=str
)
def test_all_long_tests_run_even_if_some_fail(tmp_path, failing, code):
    """And make fails if any does."""
    returned, notes = noted(tmp_path, "test-long", failing=failing)
    assert returned == code
    assert len(placed(notes, "-", "-m long and quiet")) == 1
    assert len(placed(notes, "-", "-m long and not quiet")) == 7


def test_only_long_tests_have_several_processes_a_part(tmp_path):
    """They mostly wait."""
    _, notes = noted(tmp_path, "test-long", "test")
    assert {"-n 3" in note for note in notes if "-m long and not quiet" in note} == {True, False}
    assert {"-n 3" in note for note in notes if "-m not quiet and not long" in note} == {False}
