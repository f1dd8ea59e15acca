"""`loadproof report`: on run directories and other tools' files, and options that don't go with them."""

from __future__ import annotations

import json
import os
import shutil

import pytest
from markupsafe import Markup

from loadproof.analysis.report.drawing import Drawing
from loadproof.rundir import files
from simulation.rundirs import write_run
from tests.commands import ROOT, in_process
from tests.loadproof.cli.refusals import refused


def test_a_run_directory_of_another_format_is_refused(tmp_path):
    """The message names the format that can be read."""
    write_run(tmp_path)
    path = tmp_path / files.MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 99}))
    assert "another format version, got '99'" in refused("report", tmp_path)
    (tmp_path / "empty").mkdir()
    message = refused("report", tmp_path / "empty")
    assert "manifest.json: no readable manifest: No such file or directory; give" in message
    assert "not a run directory, and none of nowhere_stats.csv" in refused("report", tmp_path / "nowhere")


@pytest.mark.slow
def test_report_takes_the_prefix_of_locusts_csvs(tmp_path):
    """It writes four files beside them; without thresholds the exit code is 0, with them the verdict's."""
    capture = shutil.copytree(ROOT / "tests/captures/2.32.10-killed", tmp_path / "csvs")
    done = in_process("report", capture / "run")
    assert (done.returncode, done.stderr) == (0, "")
    assert "No verdict" in done.stdout
    made = {f"run_{name}" for name in (files.REPORT, files.VERDICT, files.SUMMARY, files.JUNIT)}
    assert made <= {path.name for path in capture.iterdir()}
    judged = in_process(
        "report", capture / "run", "--thresholds", capture / "thresholds.yaml", "--out", tmp_path / "out"
    )
    assert judged.returncode == 3
    assert "INCONCLUSIVE" in judged.stdout
    assert {path.name for path in (tmp_path / "out").iterdir()} == made


def test_report_refuses_options_that_do_not_go_with_a_run_directory_or_a_prefix(tmp_path):
    """An invalid threshold file, options for the other kind, an unwritable directory: one line each."""
    run = write_run(tmp_path / "run")
    prefix = ROOT / "tests/captures/2.2.3/run"
    assert "--thresholds and --out are for CSVs and logs" in refused("report", run, "--out", tmp_path)
    (tmp_path / "thresholds.yaml").write_text("thresholds: [{expect: goodput_ratio > 1 %}]")
    assert "correct and in time" in refused("report", prefix, "--thresholds", tmp_path / "thresholds.yaml")
    assert "can't be read" in refused("report", prefix, "--thresholds", tmp_path / "none.yaml")
    assert "can't be created" in refused("report", prefix, "--out", tmp_path / "thresholds.yaml" / "below")


@pytest.mark.slow
def test_the_terminal_escapes_hostile_names(tmp_path, monkeypatch):
    """Escape sequences in a phase's name don't move the cursor."""
    monkeypatch.setattr(Drawing, "svg", lambda *_: Markup())
    write_run(tmp_path)
    path = tmp_path / files.MANIFEST
    path.write_text(path.read_text().replace('"ending_detail": ""', '"ending_detail": "\\u001b[2J[red]x"'))
    path.write_text(path.read_text().replace('"ending": "completed"', '"ending": "target_died"'))
    done = in_process("report", tmp_path)
    assert "\x1b[2J" not in done.stdout
    assert "\\x1b[2J[red]x" in done.stdout.replace("\n", "")
    assert os.linesep in done.stdout
