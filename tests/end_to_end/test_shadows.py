"""A working directory with packages of our names: nothing is imported from it, and relative paths still work."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from loadproof.analysis.judge.verdict import EXIT_CODES
from loadproof.analysis.word import Word
from loadproof.rundir.manifest import read_manifest
from tests.commands import QUICK, ROOT, only_run, verdict_of, word_of
from tests.end_to_end.shoplocustfile import LOGGING_IN

pytestmark = [pytest.mark.process, pytest.mark.long]

OURS = ("analysis", "loadproof", "locustfiles", "payments_api", "locust", "gevent")
AS_THE_COMMAND = ("-P", "-c", "from loadproof.cli.app import main; main()")
AS_A_MODULE = ("-m", "loadproof")


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A directory with failing modules and packages of all our names, and a scenario with its users."""
    for name in OURS:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"raise ImportError('{name} of the working directory')")
        (tmp_path / f"{name}.py").write_text(f"raise ImportError('{name}.py of the working directory')")
    (tmp_path / "locust.conf").write_text("users = no number\n")
    (tmp_path / "own").mkdir()
    (tmp_path / "own/shop.py").write_text(LOGGING_IN)
    changes = {
        "mix": {"shop": {"share": "100 %", "every": "1 s"}},
        "phases": [{"name": "steady", "duration": "2 s", "users": 10}],
        "thresholds": [{"expect": "goodput_ratio >= 1 %"}],
    }
    (tmp_path / "shop.yaml").write_text(yaml.safe_dump(QUICK | changes))
    return tmp_path


def in_directory(path: Path, start: tuple[str, ...], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *start, *arguments],
        cwd=path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )


def test_a_run_imports_nothing_from_the_working_directory(elsewhere):
    """Neither target, master nor workers; relative paths still start there."""
    done = in_directory(
        elsewhere, AS_THE_COMMAND, "run", "shop.yaml", "--locustfiles", "own", "--out", "out", "--workers", "2"
    )
    run = only_run(elsewhere / "out")
    assert done.returncode == EXIT_CODES[Word(verdict_of(run)["verdict"])], done.stdout + done.stderr
    assert word_of(run, "goodput_ratio >= 1 %") == "PASS", done.stdout + done.stderr
    assert read_manifest(run).ending == "completed"


def test_a_dry_run_imports_nothing_from_the_working_directory(elsewhere):
    """Nor does the program started with `python -m`."""
    (elsewhere / "loadproof.py").unlink()
    (elsewhere / "loadproof/__init__.py").unlink()
    (elsewhere / "loadproof").rmdir()
    done = in_directory(elsewhere, AS_A_MODULE, "check", "shop.yaml", "--locustfiles", "own", "--dry-run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "GET /health" in done.stdout
