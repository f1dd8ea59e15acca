"""A gate: one scenario after the other, and its output for a CI server."""

from __future__ import annotations

import json
import os
import signal

import pytest
import yaml

from loadproof.cli import judging
from tests.commands import in_process, scenario_file

pytestmark = pytest.mark.process


@pytest.mark.long
def test_a_gate_runs_scenarios_in_turn_and_writes_a_summary(tmp_path):
    """GitHub gets the summary, and an annotation for each threshold that did not pass."""
    phases = [{"name": "steady", "duration": "2 s", "users": 20}]
    quick = scenario_file(tmp_path, phases=phases, thresholds=[{"expect": "goodput_ratio >= 50 %"}])
    strict = tmp_path / "strict.yaml"
    thresholds = [{"expect": "max < 10 us"}, {"expect": "goodput_ratio >= 50 %"}]
    strict.write_text(yaml.safe_dump(yaml.safe_load(quick.read_text()) | {"name": "strict", "thresholds": thresholds}))
    shown = tmp_path / "shown.md"
    niceness = os.getpriority(os.PRIO_PROCESS, 0)
    done = in_process(
        "gate", quick, strict, "--out", tmp_path / "out", "--annotate", "github", GITHUB_STEP_SUMMARY=str(shown)
    )
    assert "::error title=strict" in done.stdout, done.stdout + done.stderr
    (directory,) = (tmp_path / "out").glob("*-gate")
    found = json.loads((directory / "gate.json").read_text())
    assert found["exit_code"] == done.returncode
    assert [one["scenario"] for one in found["scenarios"]] == ["quick", "strict"]
    # Only the watching thread was nice: a nice process would pass that on to the next scenario's processes.
    assert os.getpriority(os.PRIO_PROCESS, 0) == niceness
    assert all((directory / one["run"] / "report.html").exists() for one in found["scenarios"])
    assert shown.read_text() == (directory / "summary.md").read_text()


@pytest.mark.long
def test_a_gate_that_is_stopped_while_judging_does_not_pass(tmp_path, monkeypatch):
    """Scenarios that it did not reach are listed; the exit code is the signal's."""
    judged = judging.judge_and_show

    def judged_while_somebody_stops_it(*arguments: object, **named: object) -> object:
        os.kill(os.getpid(), signal.SIGTERM)
        return judged(*arguments, **named)

    monkeypatch.setattr(judging, "judge_and_show", judged_while_somebody_stops_it)
    phases = [{"name": "steady", "duration": "1 s", "users": 10}]
    file = scenario_file(tmp_path, phases=phases, thresholds=[{"expect": "goodput_ratio >= 1 %"}])
    done = in_process("gate", file, "scenarios/smoke.yaml", "--out", tmp_path / "out")
    assert done.returncode == 143, done.stdout + done.stderr
    (directory,) = (tmp_path / "out").glob("*-gate")
    found = json.loads((directory / "gate.json").read_text())
    assert found["exit_code"] == 143
    assert [(one["scenario"], one["verdict"]) for one in found["scenarios"]][1] == ("smoke", None)
    assert found["scenarios"][1]["reason"] == "not run: the gate was terminated"
    assert "the gate was terminated" in (directory / "summary.md").read_text()


def test_a_scenario_that_cannot_be_measured_fails_the_gate_and_is_listed(tmp_path):
    """Nothing listens at its target's address."""
    done = in_process("gate", scenario_file(tmp_path), "--out", tmp_path / "out", TARGET_URL="http://127.0.0.1:9")
    assert done.returncode == 2, done.stdout + done.stderr
    (directory,) = (tmp_path / "out").glob("*-gate")
    assert "NOT MEASURED" in (directory / "summary.md").read_text()
