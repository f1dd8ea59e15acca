"""`loadproof gate`: what it prints, and how it compares with a baseline."""

from __future__ import annotations

import io
import json
import os
import signal
from itertools import count

import pytest
import yaml
from rich.console import Console

from loadproof.analysis.frames.run import load_run
from loadproof.analysis.judge.judgement import Wanting
from loadproof.analysis.judge.verdict import deciding_reason, verdict_on_run
from loadproof.analysis.outputs import gatefile
from loadproof.analysis.outputs.ci.judged import Judged
from loadproof.cli import gate, gatebaseline
from loadproof.cli.gatebaseline import open_judgements
from loadproof.errors import OutputError, Problem
from loadproof.run.machine import environment
from loadproof.rundir import files
from loadproof.rundir.manifest import read_manifest, write_manifest
from loadproof.scenario.loading import load_scenario
from simulation.releases import plan_of_releases
from simulation.rundirs import scenario, write_run
from tests.commands import in_process


@pytest.mark.slow
def test_paths_stay_whole_in_a_narrow_log(tmp_path, monkeypatch):
    """Each is on its own line below the table, where nothing truncates it."""
    output = io.StringIO()
    monkeypatch.setattr(gate, "console", Console(file=output, width=40))
    run = load_run(write_run(tmp_path / "a directory of some length" / "run"))
    (run.path / files.REPORT).write_text("")
    gate._show([Judged("quick", run, verdict_on_run(run)), Judged("none", trouble="it was down")], tmp_path)
    lines = output.getvalue().splitlines()
    assert f"quick PASS: {run.path / files.REPORT}" in lines
    assert f"summary: {tmp_path / files.SUMMARY}" in lines


@pytest.fixture
def releases(tmp_path, monkeypatch):
    """A scenario's file and runs of its last release; each run of a gate takes 1 ms longer than the one before."""
    content = {
        "name": "synthetic",
        "model": "closed",
        "deadline": "500 ms",
        "mix": {"balance": {"share": "100 %", "every": "1 s"}},
        "phases": [{"name": "steady", "duration": "8 s", "users": 100}],
        "thresholds": [{"expect": "p(90) <= 1.10 * baseline"}, {"expect": "goodput_ratio >= 90 %"}],
        "settings": {"limiter": "off"},
    }
    file = tmp_path / "synthetic.yaml"
    file.write_text(yaml.safe_dump(content))
    made = count()

    def simulated(path, median_ms):
        number = next(made)
        write_run(path, plan=load_scenario(file), median_ms={"balance": median_ms}, seed=number)
        facts = read_manifest(path)
        update = {"start_unix_s": facts.start_unix_s + 20 * number, "host": environment.host()}
        facts = facts.model_copy(update=update)
        write_manifest(path, facts)
        return path, facts

    for number in range(3):
        simulated(tmp_path / "last" / f"run-{number}", 40 + number / 10)

    def at(median_ms):
        def run_into(out, *_, **__):
            return simulated(files.create_run_directory(out, "synthetic"), median_ms)

        monkeypatch.setattr(gate, "run_into", run_into)
        return file, tmp_path / "last"

    return at


@pytest.mark.slow
@pytest.mark.parametrize(
    ("median_ms", "code", "word"), [pytest.param(40, 0, "PASS", marks=pytest.mark.long), (60, 1, "FAIL")]
)
def test_a_gate_decides_baseline_thresholds_by_several_runs(releases, tmp_path, median_ms, code, word):
    """Its own and an earlier gate's; each run's report says so, and the comparison has its own files."""
    file, last = releases(median_ms)
    out = tmp_path / "out"
    done = in_process("gate", file, "--runs", 3, "--baseline", last, "--out", out)
    assert done.returncode == code, done.stdout + done.stderr
    (directory,) = out.glob("*-gate")
    content = json.loads((directory / "gate.json").read_text())
    assert [entry["verdict"] for entry in content["scenarios"]] == [word] * 4
    assert content["scenarios"][-1]["scenario"] == "synthetic and its baseline"
    (compared,) = directory.glob("*-compare-synthetic/compare.json")
    assert len(json.loads(compared.read_text())["candidate"]) == 3
    summary = (directory / files.SUMMARY).read_text().replace("\\", "")
    assert ("Worse: p(90) of balance in steady" in summary) == (word == "FAIL")
    assert 'name="loadproof.compare.synthetic"' in (directory / files.JUNIT).read_text()
    verdicts = [json.loads(path.read_text()) for path in directory.glob("*/verdict.json")]
    assert {verdict["thresholds"][0]["word"] for verdict in verdicts} == {word}
    assert all("(3 and 3 runs)" in verdict["thresholds"][0]["reason"] for verdict in verdicts)


@pytest.mark.slow
def test_a_gate_that_is_interrupted_while_it_judges_its_last_run_compares_nothing(releases, tmp_path, monkeypatch):
    """It isn't green, and its files say what was not compared."""
    file, last = releases(40)
    judged, judge = count(1), gate.judging.judge_and_show

    def interrupted(*given, **named):
        found = judge(*given, **named)
        if next(judged) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return found

    monkeypatch.setattr(gate.judging, "judge_and_show", interrupted)
    out = tmp_path / "out"
    done = in_process("gate", file, "--runs", 3, "--baseline", last, "--out", out)
    assert done.returncode == 130, done.stdout + done.stderr
    (content,) = out.glob("*-gate/gate.json")
    entries = json.loads(content.read_text())["scenarios"]
    assert [entry["scenario"] for entry in entries] == ["synthetic"] * 3 + ["synthetic and its baseline"]
    assert entries[-1]["reason"] == "not compared: the gate was interrupted"


def _out_of_space(monkeypatch):
    """The comparison's report fills the disk."""
    compare = gatebaseline.write_comparison

    def filling(comparison, directory):
        compare(comparison, directory)
        monkeypatch.setattr(gatefile.files, "write_all", full)

    def full(*_):
        raise OutputError(Problem("gate.json", "can't be written", "free space"))

    return filling


def _broken(*_):
    raise RuntimeError("a bug")


def _cut(*_):
    raise KeyboardInterrupt


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ends", "code"),
    [(_out_of_space, 4), (lambda _: _broken, 70), (lambda _: _cut, 130)],
    ids=["disk", "bug", "Ctrl-C"],
)
def test_a_gate_that_ends_before_its_comparison_is_written_is_not_green_in_its_files(
    releases, tmp_path, monkeypatch, ends, code
):
    """They say what was not compared, and have another exit code than 0."""
    file, last = releases(40)
    monkeypatch.setattr(gatebaseline, "write_comparison", ends(monkeypatch))
    out = tmp_path / "out"
    done = in_process("gate", file, "--runs", 3, "--baseline", last, "--out", out)
    assert done.returncode == code, done.stdout + done.stderr
    (path,) = out.glob("*-gate")
    content = json.loads((path / "gate.json").read_text())
    assert (content["exit_code"], content["scenarios"][-1]["reason"]) == (2, "not compared yet")
    assert "not compared yet" in (path / files.SUMMARY).read_text()
    assert 'message="not compared yet"' in (path / files.JUNIT).read_text()


@pytest.mark.slow
def test_a_threshold_that_waits_for_the_other_runs_says_so_in_a_sentence():
    """It is shown for each of the gate's runs."""
    judgements = open_judgements(plan_of_releases("p(95) <= 1.10 * baseline"))
    assert [judgement.wanting for judgement in judgements] == [Wanting.ALL_RUNS]
    waits = "not decided yet: all runs together decide it, in the end"
    assert deciding_reason(list(judgements)) == f"balance · all phases: {waits} (expected p(95) <= 1.10 * baseline)"


def test_a_gate_whose_baseline_has_no_such_runs_does_not_start(releases, tmp_path):
    """The problem is reported before anything is measured."""
    file, _ = releases(40)
    done = in_process("gate", file, "--baseline", write_run(tmp_path / "other", plan=scenario(name="other")))
    assert (done.returncode, "no runs of synthetic" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("phases.steady.users=50", "their phases must be the same"),
        ("deadline=300 ms", "their deadline must be the same"),
    ],
)
def test_a_gate_that_could_not_be_compared_does_not_start(releases, tmp_path, setting, told):
    """Each baseline run of a different scenario, even of the same name, is named before the first packet."""
    file, last = releases(40)
    out = tmp_path / "out"
    done = in_process("gate", file, "--set", setting, "--baseline", last, "--out", out)
    assert (done.returncode, done.stderr.count(told)) == (2, 3)
    assert f"{last / 'run-0'}: a run of another scenario, got 'synthetic'; compare runs of one scenario" in done.stderr
    assert not out.exists()


@pytest.mark.parametrize(
    ("ending", "told", "count"),
    [
        ("interrupted", "the run was cut short, got 'interrupted'", 3),
        ("target_died", "--baseline: the target ended every run of synthetic", 1),
    ],
)
def test_a_gate_whose_baseline_has_no_values_does_not_start(releases, tmp_path, ending, told, count):
    """One usable run is enough to start; the others are left out in the end."""
    file, last = releases(40)
    for run in last.iterdir():
        write_manifest(run, read_manifest(run).model_copy(update={"ending": ending}))
    done = in_process("gate", file, "--baseline", last, "--out", tmp_path / "out")
    assert (done.returncode, done.stderr.count(told)) == (2, count)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_baseline_of_too_few_runs_is_noted_before_the_gate_runs(releases, tmp_path):
    """The runs' own verdicts still count; the comparison is INCONCLUSIVE, whatever the runs show."""
    file, last = releases(40)
    done = in_process("gate", file, "--runs", 1, "--baseline", last / "run-0", "--out", tmp_path / "out")
    told = "the baseline has 1 usable run of synthetic, too few to tell a change from noise: 3 are needed"
    assert (done.returncode, told in (done.stdout + done.stderr).replace("\n", " ")) == (3, True)


def test_a_gate_with_a_baseline_from_another_machine_does_not_start(releases, tmp_path, monkeypatch):
    """The machine's speed would be taken for the release's."""
    file, last = releases(40)
    monkeypatch.setattr(environment, "host", lambda: {"system": "Linux 6 x86_64", "cores": "96", "cpu": "Newer"})
    done = in_process("gate", file, "--baseline", last, "--out", tmp_path / "out")
    assert (done.returncode, "baseline and candidate ran on different machines" in done.stderr) == (2, True)
    assert "Newer, 96 cores x86_64" in done.stderr


@pytest.mark.slow
def test_a_single_run_cannot_decide_a_baseline_threshold(releases, tmp_path):
    """`report` with three baseline runs: the difference is from all of them."""
    _, last = releases(40)
    run = write_run(tmp_path / "run", plan=read_manifest(last / "run-0").scenario, median_ms={"balance": 80})
    baseline = [part for path in sorted(last.iterdir()) for part in ("--baseline", path)]
    assert in_process("report", run, *baseline).returncode == 3
    (threshold, _) = json.loads((run / files.VERDICT).read_text())["thresholds"]
    assert "1 and 3 runs can't tell a change from noise" in threshold["reason"]
    done = in_process("report", run, *baseline, "--baseline", tmp_path / "none", "--baseline", tmp_path / "nor")
    assert (done.returncode, done.stderr.count("no readable manifest")) == (2, 2)
