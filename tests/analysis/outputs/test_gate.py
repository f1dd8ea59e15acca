"""Several verdicts combined into one, for a CI server."""

from __future__ import annotations

import json
from dataclasses import replace
from xml.etree import ElementTree

import jsonschema_rs
import pytest

from loadproof.analysis.frames.run import load_run
from loadproof.analysis.judge.verdict import EXIT_CODES, Verdict, verdict_on_run
from loadproof.analysis.outputs.ci.judged import Judged, worst_exit_code
from loadproof.analysis.outputs.gate import (
    gate_junit,
    gate_markdown,
    gate_table,
)
from loadproof.analysis.outputs.gatefile import gate_json, gate_schema
from loadproof.analysis.word import Word
from loadproof.errors import ExitCode
from simulation.rundirs import outcomes, scenario, write_run
from tests.commands import ROOT, in_process

THIN = scenario(thresholds=[{"endpoint": "webhooks", "expect": "p(99) < 200 ms"}, {"expect": "goodput_ratio >= 98 %"}])


@pytest.fixture(scope="module")
def gated(tmp_path_factory) -> dict[str, Judged]:
    """One scenario for each kind of end."""
    path = tmp_path_factory.mktemp("gated")
    written = {
        "pass": write_run(path / "pass"),
        "fail": write_run(path / "fail", outcomes_of=outcomes(server_error=0.1)),
        "invalid": write_run(path / "invalid", cpu=1.0, waits=0.9, loop_delay_s=2),
        "inconclusive": write_run(path / "inconclusive", plan=THIN),
    }
    found = {}
    for name, directory in written.items():
        run = load_run(directory)
        found[name] = Judged(name, run, verdict_on_run(run))
    found["unmeasured"] = Judged("unmeasured", trouble="http://127.0.0.1:1: no HTTP answer")
    found["never ran"] = Judged("never ran", trouble="not run", ended_as=ExitCode.TERMINATED)
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("names", "lenient", "code"),
    [
        (["pass"], False, ExitCode.PASS),
        (["pass", "inconclusive"], False, ExitCode.INCONCLUSIVE),
        (["pass", "inconclusive"], True, ExitCode.PASS),
        (["inconclusive", "fail"], True, ExitCode.FAIL),
        (["fail", "invalid", "pass"], True, ExitCode.INVALID),
        (["invalid", "unmeasured"], False, ExitCode.NOTHING_MEASURED),
        ([], True, ExitCode.NOTHING_MEASURED),
        (["pass", "never ran"], True, ExitCode.TERMINATED),
    ],
)
def test_the_worst_decides(gated, names, lenient, code):
    """INCONCLUSIVE is not green, unless requested."""
    chosen = [gated[name] for name in names]
    assert worst_exit_code(chosen, lenient=lenient) is code
    assert json.loads(gate_json(chosen, lenient=lenient))["exit_code"] == code


@pytest.mark.parametrize("name", ["pass", "inconclusive"])
def test_what_a_signal_ended_is_not_green_whatever_its_verdict(gated, name):
    """The verdict is on the results so far."""
    interrupted = replace(gated[name], ended_as=ExitCode.INTERRUPTED)
    assert interrupted.exit_code(lenient=True) is ExitCode.INTERRUPTED


@pytest.mark.slow
def test_every_scenario_is_in_every_summary(gated):
    """With its word and its reason."""
    everyone = list(gated.values())
    content = json.loads(gate_json(everyone, lenient=False))
    jsonschema_rs.validator_for(gate_schema()).validate(content)
    assert [one["verdict"] for one in content["scenarios"]] == ["PASS", "FAIL", "INVALID", "INCONCLUSIVE", None, None]
    markdown = gate_markdown(everyone)
    for name in gated:
        assert f"| {name} |" in markdown
    assert gate_table(everyone).row_count == len(everyone)
    suites = ElementTree.fromstring(gate_junit(everyone)).findall("testsuite")
    assert len(suites) == len(everyone)
    assert [int(suite.get("failures")) > 0 for suite in suites] == [False, True, False, False, False, False]
    assert [int(suite.get("errors")) > 0 for suite in suites] == [False, False, True, True, True, True]


def test_github_gets_annotations_for_what_did_not_pass(gated):
    """One line each: errors, or warnings for what counts as green."""
    assert list(gated["pass"].annotations(lenient=False)) == []
    (failed, *_) = gated["fail"].annotations(lenient=False)
    assert failed.startswith("::error title=fail%3A FAIL::")
    assert "error_ratio < 1 %25" in failed
    (thin,) = gated["inconclusive"].annotations(lenient=True)
    assert thin.startswith("::warning title=inconclusive%3A INCONCLUSIVE::")
    (unmeasured,) = gated["unmeasured"].annotations(lenient=False)
    assert unmeasured.endswith("::http://127.0.0.1:1: no HTTP answer")


def test_hostile_text_stays_on_its_line():
    """It starts neither a new line nor a new command."""
    (line,) = Judged("a,b:c\n::error::x", trouble="one\n::error::two").annotations(lenient=False)
    assert "\n" not in line
    assert line.count("::") == 4


@pytest.mark.parametrize("word", Word)
def test_lenient_only_accepts_inconclusive(word):
    """Any other word keeps its exit code, even for a report without a run."""
    found = Judged("log", verdict=Verdict(word, "", "", (), ()))
    assert found.exit_code(lenient=False) is EXIT_CODES[word]
    assert found.exit_code(lenient=True) is (ExitCode.PASS if word is Word.INCONCLUSIVE else EXIT_CODES[word])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["run directory", "csvs", "log"])
def test_any_report_can_annotate_ci_and_accept_inconclusive(tmp_path, kind):
    """An annotation, the summary on the workflow's page, and the exit code requested."""
    thresholds = tmp_path / "thresholds.yaml"
    thresholds.write_text("thresholds: [{expect: p(99.9) < 10 s}]")
    arguments = {
        "run directory": [write_run(tmp_path / "run", plan=THIN)],
        "csvs": [ROOT / "tests/captures/2.15.1-all-failed/run", "--thresholds", thresholds, "--out", tmp_path / "out"],
        "log": ["--log", tmp_path / "thin.csv", "--thresholds", thresholds],
    }[kind]
    (tmp_path / "thin.csv").write_text("seconds,name,response_ms,status\n" + "1,/pay,20,200\n" * 50)
    shown = tmp_path / "shown.md"
    environment = {"GITHUB_STEP_SUMMARY": str(shown)}
    done = in_process("report", *arguments, "--annotate", "github", **environment)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "::error title=" in done.stdout
    assert "INCONCLUSIVE" in shown.read_text()
    green = in_process("report", *arguments, "--annotate", "github", "--inconclusive", "pass")
    assert green.returncode == 0, green.stdout + green.stderr
    assert "::warning title=" in green.stdout
