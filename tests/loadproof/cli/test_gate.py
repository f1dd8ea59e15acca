"""`loadproof gate`: what it prints."""

from __future__ import annotations

import io

from rich.console import Console

from loadproof.analysis.frames.run import load_run
from loadproof.analysis.judge.verdict import verdict_on_run
from loadproof.analysis.outputs.gate import Gated
from loadproof.cli import gate
from loadproof.rundir import files
from simulation.rundirs import write_run


def test_paths_stay_whole_in_a_narrow_log(tmp_path, monkeypatch):
    """Each on one line below the table, where nothing cuts them."""
    output = io.StringIO()
    monkeypatch.setattr(gate, "console", Console(file=output, width=40))
    run = load_run(write_run(tmp_path / "a directory of some length" / "run"))
    (run.path / files.REPORT).write_text("")
    gate._show([Gated("quick", run, verdict_on_run(run)), Gated("none", trouble="it was down")], tmp_path)
    lines = output.getvalue().splitlines()
    assert f"quick PASS: {run.path / files.REPORT}" in lines
    assert f"summary: {tmp_path / files.SUMMARY}" in lines
