"""The drills of the reference API, in their short form: every promise is kept."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.commands import ROOT
from tests.quiet import SKIPPED

pytestmark = [pytest.mark.process, pytest.mark.long]


@pytest.mark.parametrize("drill", ["flood", "redis"])
def test_every_promise_is_kept(drill):
    """And the report says so, a line each."""
    done = subprocess.run(
        [sys.executable, "-m", f"drills.{drill}", "--short"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    if done.returncode == 4:
        pytest.skip(f"{SKIPPED}: {done.stdout}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "BROKEN" not in done.stdout
    assert done.stdout.count("kept  ") >= 7
    assert done.stdout.strip().endswith("all promises kept")
