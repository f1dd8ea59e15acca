"""Runs a scenario against a column's target with the command line, and reads the verdict."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bench.serving import ROOT

if TYPE_CHECKING:
    from bench.properties.columns import Column
    from bench.properties.rows import Played

_MOST_S: Final = 400


def play(played: Played, column: Column, *, is_quick: bool, keep: Path | None) -> dict[str, Any] | None:
    """The content of verdict.json; None if there is none, for example because the run took too long.

    `keep`: a directory for the run's files.
    """
    with tempfile.TemporaryDirectory() as temporary:
        out = (keep or Path(temporary)) / f"{column.name}-{played.scenario}"
        changes = [option for change in (played.quick if is_quick else ()) for option in ("--set", change)]
        run = ["run", f"scenarios/{played.scenario}.yaml", "--out", str(out), *changes]
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "loadproof", *run],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), **column.environment(is_quick=is_quick)},
            stdout=subprocess.DEVNULL,
        )
        try:
            # A run that hangs has no verdict; the other cells still get theirs.
            with suppress(subprocess.TimeoutExpired):
                process.wait(_MOST_S)
        finally:
            _end(process)
        verdicts = sorted(out.glob("*/verdict.json"))
        return json.loads(verdicts[-1].read_text()) if verdicts else None


def _end(process: subprocess.Popen[bytes]) -> None:
    """By SIGTERM, because it has children to stop and a report to write; by SIGKILL if it doesn't heed it."""
    process.terminate()
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
