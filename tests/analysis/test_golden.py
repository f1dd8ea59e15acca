"""Real run directories and real Locust CSVs, kept as they were written, and what the analysis makes of them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from loadproof.analysis.foreign.locust.csvfiles import load_locust_run
from loadproof.analysis.foreign.locust.thresholds import read_csv_thresholds
from loadproof.analysis.foreign.locust.thresholds import verdict_on_csvs as decide_on_csvs
from loadproof.analysis.frames.run import load_run
from loadproof.analysis.judge.verdict import verdict_on_run
from loadproof.analysis.outputs import locust
from loadproof.analysis.report import locust_page
from loadproof.analysis.report.run_page import run_files
from loadproof.rundir import files
from tests.commands import ROOT

GOLDEN = ROOT / "tests/golden"
EXPECTED = (files.VERDICT, files.SUMMARY, files.JUNIT)
CAPTURES = sorted(path.parent for path in (ROOT / "tests/captures").glob("*/run_stats.csv"))


@pytest.mark.slow
@pytest.mark.parametrize("run", sorted(GOLDEN.iterdir()), ids=lambda path: path.name)
def test_golden_runs_are_judged_as_before(run, tmp_path, request):
    """Byte for byte; after an intended change, `make golden` rewrites the files."""
    copy = shutil.copytree(run, tmp_path / "run")
    loaded = load_run(copy)
    verdict = verdict_on_run(loaded)
    files.write_all(run_files(loaded, verdict))
    for name in EXPECTED:
        if request.config.getoption("--refresh-golden"):
            shutil.copy(copy / name, run / name)
        assert (copy / name).read_text() == (run / name).read_text()
    assert f'<p class="word">{verdict.word}</p>' in (copy / files.REPORT).read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_golden_runs_cover_every_verdict():
    """A pass, a fail, a run cut short, and one that measured the generator."""
    words = {verdict_on_run(load_run(run)).word for run in GOLDEN.iterdir()}
    assert words == {"PASS", "FAIL", "INCONCLUSIVE", "INVALID"}


def examined(capture: Path) -> locust.Examined:
    """A capture with its thresholds, if it has any."""
    run = load_locust_run(capture / "run")
    file = capture / "thresholds.yaml"
    return locust.examine(run, decide_on_csvs(read_csv_thresholds(file, run), run) if file.exists() else None)


@pytest.mark.slow
@pytest.mark.parametrize("capture", CAPTURES, ids=lambda path: path.name)
def test_csvs_of_every_locust_version_are_read_as_before(capture, tmp_path, request):
    """Byte for byte, too."""
    found = examined(capture)
    assert "<h2>By endpoint</h2>" in locust_page.write_csv_report(found, tmp_path).read_text(encoding="utf-8")
    for name in (f"run_{files.VERDICT}", f"run_{files.SUMMARY}"):
        if request.config.getoption("--refresh-golden"):
            shutil.copy(tmp_path / name, capture / name)
        assert (tmp_path / name).read_text() == (capture / name).read_text()


@pytest.mark.slow
def test_the_captures_cover_five_versions_and_every_word():
    """Locust 1.0 to 2.47; PASS, FAIL, INCONCLUSIVE, and no verdict."""
    assert {path.name.partition("-")[0] for path in CAPTURES} == {"1.0.3", "2.2.3", "2.15.1", "2.32.10", "2.47"}
    verdicts = [examined(capture).verdict for capture in CAPTURES]
    assert {verdict and str(verdict.word) for verdict in verdicts} == {"PASS", "FAIL", "INCONCLUSIVE", None}
