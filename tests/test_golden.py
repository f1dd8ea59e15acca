"""Real run directories, kept as they were written, and what the analysis makes of them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from analysis import outputs
from analysis.frames import load_run
from analysis.report import write_report
from analysis.verdict import decide
from loadproof import rundir

GOLDEN = Path(__file__).parent / "golden"
EXPECTED = (rundir.VERDICT, rundir.SUMMARY, rundir.JUNIT)


@pytest.mark.parametrize("run", sorted(GOLDEN.iterdir()), ids=lambda path: path.name)
def test_a_run_of_this_format_is_judged_as_it_was(run, tmp_path, request):
    """Byte for byte; `make golden` writes the files anew when a change is meant."""
    copy = shutil.copytree(run, tmp_path / "run")
    loaded = load_run(copy)
    verdict = decide(loaded)
    outputs.write_outputs(loaded, verdict)
    write_report(loaded, verdict)
    for name in EXPECTED:
        if request.config.getoption("--refresh-golden"):
            shutil.copy(copy / name, run / name)
        assert (copy / name).read_text() == (run / name).read_text()


def test_the_golden_runs_cover_every_way_to_end():
    """A pass, a fail, a run cut short, and one that measured itself."""
    words = {decide(load_run(run)).word for run in GOLDEN.iterdir()}
    assert words == {"PASS", "FAIL", "INCONCLUSIVE", "INVALID"}
