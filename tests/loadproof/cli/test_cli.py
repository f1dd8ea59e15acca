"""The command line: what it says, and the exit code, for right and wrong input."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

from loadproof.run import probe
from loadproof.rundir import files
from simulation.rundirs import outcomes, scenario, write_run
from tests.commands import ROOT, in_process, loadproof, scenario_file
from tests.servers import answering, serving


def refused(*arguments: object, **environment: str) -> str:
    """Exit code 2, no traceback, nothing on standard output: what it says on the other."""
    done = in_process(*arguments, **environment)
    assert (done.returncode, done.stdout) == (2, ""), done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_check_tells_what_a_scenario_would_send():
    """Model, clients, requests, and the samples of each threshold."""
    done = in_process("check", "scenarios/load-100.yaml", "scenarios/spike-1000.yaml")
    assert done.returncode == 0
    assert "3,036 requests in 85 s to the embedded target" in done.stdout
    assert "from 1,200 clients" in done.stdout
    assert "transactions + webhooks · steady" in done.stdout


def test_check_tells_the_problems_of_all_files_at_once(tmp_path):
    """And of what the plan would do: limits exceeded, thresholds that can't be decided, unknown users."""
    greedy = scenario_file(tmp_path, settings={"limiter": "slowapi"})
    (tmp_path / "other").mkdir()
    hasty = scenario_file(
        tmp_path / "other",
        mix={"refunds": {"share": "100 %", "every": "1 s"}},
        thresholds=[{"expect": "p(99.9) < 1 s"}, {"expect": "goodput_ratio >= 50 %"}],
    )
    text = refused("check", greedy, hasty, "nowhere.yaml")
    assert "a client would exceed the declared limit of 10/min" in text
    assert "mix.refunds: no such file in locustfiles/" in text
    assert "it needs 10,000 samples" in text
    assert "nowhere.yaml: can't be read" in text


def test_a_plan_beyond_the_limits_runs_when_throttling_is_expected(tmp_path):
    """`expect_throttling: true` says so."""
    assert in_process("check", scenario_file(tmp_path, settings={}, expect_throttling=True)).returncode == 0


def test_usage_errors_are_exit_code_2():
    """No arguments, unknown ones."""
    assert "Missing argument" in refused("run")
    assert "No such option" in refused("run", "--nonsense")
    assert "no '='" in refused("run", "scenarios/smoke.yaml", "--set", "deadline")
    assert "no such place" in refused("run", "scenarios/smoke.yaml", "--set", "phases.x.y=1")


def test_a_host_that_nobody_allowed_is_refused_before_the_first_packet():
    """A name that would resolve, even."""
    assert "not on the allow list" in refused("run", "scenarios/smoke.yaml", TARGET_URL="http://example.org")


def test_source_addresses_need_loopback():
    """Elsewhere clients must be told apart in another way."""
    text = refused("run", "scenarios/smoke.yaml", "--allow-host", "example.org", TARGET_URL="http://example.org")
    assert "source addresses tell clients apart on loopback only" in text


def test_a_target_that_is_down_is_one_line():
    """Refused."""
    text = refused("run", "scenarios/smoke.yaml", TARGET_URL="http://127.0.0.1:1")
    assert text == (
        "http://127.0.0.1:1: no HTTP answer to GET /health: Connection refused; "
        "start the target, or correct its address\n"
    )


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (answering(b"@@@@\r\n\r\n"), "no HTTP answer"),
        (answering(b"", then_close=False), "no answer to GET /health within"),
    ],
    ids=["garbage", "silence"],
)
def test_a_target_that_speaks_no_http_is_one_line(script, message, monkeypatch):
    """Garbage, or never an answer."""
    monkeypatch.setattr(probe, "_PROBE_TIMEOUT_S", 0.3)
    with serving(script) as url:
        assert message in refused("run", "scenarios/smoke.yaml", TARGET_URL=url)


@pytest.mark.process
def test_an_embedded_target_that_cannot_start_is_one_line(tmp_path):
    """A wrong setting in the environment reaches the user."""
    text = refused("run", scenario_file(tmp_path), "--out", tmp_path / "reports", FAULTS="nonsense")
    assert "embedded target: did not get ready, got \"FAULTS: got 'nonsense'" in text


def test_an_unwritable_place_for_reports_is_one_line(tmp_path):
    """A file is where the directory should be."""
    (tmp_path / "reports").write_text("")
    text = refused("run", scenario_file(tmp_path), "--out", tmp_path / "reports")
    assert "reports: can't be written: " in text
    assert "--out" in text


def test_a_run_directory_of_another_format_is_refused(tmp_path):
    """With which one is read here."""
    write_run(tmp_path)
    path = tmp_path / files.MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 99}))
    assert "another format version, got '99'" in refused("report", tmp_path)
    (tmp_path / "empty").mkdir()
    assert "no readable manifest" in refused("report", tmp_path / "empty")
    assert "no run directory, and none of nowhere_stats.csv" in refused("report", tmp_path / "nowhere")


THIN = scenario(thresholds=[{"endpoint": "webhooks", "expect": "p(99) < 200 ms"}, {"expect": "goodput_ratio >= 98 %"}])


@pytest.mark.process
@pytest.mark.parametrize(
    ("written", "word", "code"),
    [
        ({}, "PASS", 0),
        ({"outcomes_of": outcomes(server_error=0.5)}, "FAIL", 1),
        ({"plan": THIN}, "INCONCLUSIVE", 3),
        ({"cpu": 1.0, "waits": 0.9, "loop_delay_s": 2}, "INVALID", 4),
    ],
    ids=["PASS", "FAIL", "INCONCLUSIVE", "INVALID"],
)
def test_the_program_ends_with_the_verdicts_exit_code(tmp_path, written, word, code):
    """And prints word and path."""
    done = loadproof("report", write_run(tmp_path, **written))
    assert (done.returncode, done.stderr) == (code, "")
    assert word in done.stdout
    assert str(tmp_path / "report.html") in done.stdout


@pytest.mark.process
def test_the_program_ends_with_2_when_nothing_was_measured():
    """And says why on the other output."""
    done = loadproof("run", "nowhere.yaml")
    assert (done.returncode, done.stdout) == (2, "")
    assert "nowhere.yaml: can't be read" in done.stderr


def test_report_takes_the_prefix_of_anyones_csvs(tmp_path):
    """Four files beside them; without thresholds no verdict and exit code 0, with them the verdict's."""
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


def test_report_refuses_what_does_not_go_with_a_run_directory_or_a_prefix(tmp_path):
    """A wrong file of thresholds, options of the other, an unwritable place: one line each."""
    run = write_run(tmp_path / "run")
    prefix = ROOT / "tests/captures/2.2.3/run"
    assert "--thresholds and --out are for CSVs" in refused("report", run, "--out", tmp_path)
    (tmp_path / "thresholds.yaml").write_text("thresholds: [{expect: goodput_ratio > 1 %}]")
    assert "correct and in time" in refused("report", prefix, "--thresholds", tmp_path / "thresholds.yaml")
    assert "can't be read" in refused("report", prefix, "--thresholds", tmp_path / "none.yaml")
    assert "can't be made" in refused("report", prefix, "--out", tmp_path / "thresholds.yaml" / "below")


def test_the_schema_is_printed():
    """What `make schema` writes."""
    done = in_process("schema")
    assert json.loads(done.stdout)["title"] == "Scenario"


@pytest.mark.process
@pytest.mark.xfail(strict=True, reason="a reader that goes away counts as 'nothing was measured' yet")
def test_a_reader_that_goes_away_changes_no_exit_code():
    """`loadproof check … | head -c 1`: what was asked for was done."""
    # Enough to fill the pipe, so that somebody has to notice.
    files = "scenarios/*.yaml " * 40
    command = f"{sys.executable} -m loadproof check {files} | (head -c 1 > /dev/null); exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False, timeout=100)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.process
def test_a_bug_is_exit_code_70_with_its_traceback(tmp_path):
    """A template that isn't there is ours to mend, not the user's."""
    copy = tmp_path / "copy"
    for package in ("analysis", "loadproof", "locustfiles"):
        shutil.copytree(ROOT / package, copy / package)
    (copy / "analysis" / "report" / "templates" / "report.html").unlink()
    done = loadproof("report", write_run(tmp_path / "run"), PYTHONPATH=str(copy), PYTHONSAFEPATH="1")
    assert done.returncode == 70, done.stderr
    assert "Traceback" in done.stderr


def test_the_terminal_shows_hostile_names_inert(tmp_path):
    """Escape sequences in a phase's name move no cursor."""
    write_run(tmp_path)
    path = tmp_path / files.MANIFEST
    path.write_text(path.read_text().replace('"ending_detail": ""', '"ending_detail": "\\u001b[2J[red]x"'))
    path.write_text(path.read_text().replace('"ending": "completed"', '"ending": "target_died"'))
    done = in_process("report", tmp_path)
    assert "\x1b[2J" not in done.stdout
    assert "\\x1b[2J[red]x" in done.stdout.replace("\n", "")
    assert os.linesep in done.stdout
