"""How the program ends: exit codes as a shell sees them."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from loadproof.analysis.judge.verdict import EXIT_CODES
from loadproof.analysis.word import Word
from loadproof.rundir import files
from simulation.rundirs import outcomes, scenario, write_run
from tests.commands import ROOT, loadproof, only_run, scenario_file

pytestmark = pytest.mark.process

THIN = scenario(thresholds=[{"endpoint": "webhooks", "expect": "p(99) < 200 ms"}, {"expect": "goodput_ratio >= 98 %"}])


@pytest.mark.parametrize(
    ("written", "word", "code"),
    [
        pytest.param({}, "PASS", 0, marks=pytest.mark.long),
        ({"outcomes_of": outcomes(server_error=0.5)}, "FAIL", 1),
        ({"plan": THIN}, "INCONCLUSIVE", 3),
        ({"cpu": 1.0, "waits": 0.9, "loop_delay_s": 2}, "INVALID", 4),
    ],
    ids=["PASS", "FAIL", "INCONCLUSIVE", "INVALID"],
)
def test_the_program_ends_with_the_verdicts_exit_code(tmp_path, written, word, code):
    """And prints the word and the path."""
    done = loadproof("report", write_run(tmp_path, **written))
    assert (done.returncode, done.stderr) == (code, "")
    assert word in done.stdout
    assert str(tmp_path / "report.html") in done.stdout


def test_the_program_ends_with_2_when_nothing_was_measured():
    """And says why on standard error."""
    done = loadproof("run", "nowhere.yaml")
    assert (done.returncode, done.stdout) == (2, "")
    assert "nowhere.yaml: can't be read" in done.stderr


def test_a_bug_ends_with_exit_code_70_and_a_traceback(tmp_path):
    """A missing template is our mistake, not the user's."""
    code = (
        "import jinja2; from loadproof.analysis.report import page; page.TEMPLATES.loader = jinja2.DictLoader({}); "
        "from loadproof.cli import app; app.main()"
    )
    command = [sys.executable, "-c", code, "report", write_run(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 70, done.stderr
    assert "Traceback" in done.stderr
    assert "TemplateNotFound" in done.stderr


def without_reader(*arguments: object, reader: str = "true") -> subprocess.CompletedProcess[str]:
    """Like `loadproof … | true`, where the reader is gone before the first line; returns the program's exit code."""
    command = " ".join(map(str, [sys.executable, "-m", "tests.undrawn", *arguments]))
    line = f"{command} | {reader} > /dev/null; exit ${{PIPESTATUS[0]}}"
    return subprocess.run(["bash", "-c", line], cwd=ROOT, capture_output=True, text=True, check=False, timeout=100)


@pytest.mark.long
@pytest.mark.parametrize(
    "arguments", [*(pytest.param(one, marks=pytest.mark.long) for one in ("schema", "check smoke")), "--help"]
)
def test_a_reader_that_goes_away_changes_no_exit_code(arguments):
    """The command did what was asked."""
    done = without_reader(*arguments.split())
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.long
def test_a_full_disk_behind_the_output_loses_no_verdict(tmp_path):
    """It is reported without a traceback."""
    run = write_run(tmp_path / "run")
    line = f"{sys.executable} -m tests.undrawn report {run} > /dev/full"
    done = subprocess.run(["bash", "-c", line], cwd=ROOT, capture_output=True, text=True, check=False, timeout=100)
    assert (done.returncode, done.stderr) == (0, "standard output: can't be written: No space left on device\n")
    assert (run / files.REPORT).exists()


@pytest.mark.long
def test_the_path_stays_whole_in_a_narrow_log(tmp_path):
    """On one line, to be copied or read by a program."""
    run = write_run(tmp_path / "a directory of some length")
    assert f"report: {run / files.REPORT}" in loadproof("report", run, COLUMNS="40").stdout.splitlines()


@pytest.mark.long
def test_a_terminal_with_few_characters_gets_replacements(tmp_path):
    """With `LC_ALL=C`, as in many cron jobs, nothing is lost on either output but a dash."""
    few = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = loadproof("report", write_run(tmp_path / "rün"), **few)
    assert (done.returncode, done.stderr) == (0, "")
    assert "PASS" in done.stdout
    assert "balance | steady" in done.stdout
    refused = loadproof("report", tmp_path / "nirgends – ü", **few)
    assert refused.returncode == 2, refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.long
def test_a_full_disk_behind_both_outputs_changes_no_exit_code(tmp_path):
    """It can't be reported anywhere."""
    run = write_run(tmp_path / "run")
    for arguments, code in ((f"report {run}", 0), ("report nowhere", 2)):
        line = f"{sys.executable} -m tests.undrawn {arguments} > /dev/full 2> /dev/full"
        done = subprocess.run(["bash", "-c", line], cwd=ROOT, check=False, timeout=100)
        assert done.returncode == code


@pytest.mark.long
def test_a_report_without_a_reader_ends_with_its_verdict(tmp_path):
    """PASS, and the files are written."""
    run = write_run(tmp_path / "run")
    done = without_reader("report", run)
    assert (run / files.REPORT).exists()
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.long
def test_a_run_whose_reader_goes_away_ends_with_its_verdict(tmp_path):
    """`loadproof run … | head -n 1`, as in a script that only wants to see it begin."""
    phases = [{"name": "steady", "duration": "2 s", "users": 10}]
    scenario_path = scenario_file(tmp_path, phases=phases, thresholds=[{"expect": "goodput_ratio >= 1 %"}])
    done = without_reader("run", scenario_path, "--out", tmp_path / "reports", reader="head -n 1")
    verdict = json.loads((only_run(tmp_path / "reports") / files.VERDICT).read_text())
    assert [threshold["word"] for threshold in verdict["thresholds"]] == [Word.PASS]
    assert (done.returncode, done.stderr) == (EXIT_CODES[Word(verdict["verdict"])], "")
