"""A target that is broken or dies during a run: each check finds its fault, and the counts show why."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pandas as pd
import pytest

from loadproof.analysis.estimates.scope import tally
from loadproof.analysis.frames.run import load_run
from loadproof.rundir import files
from loadproof.rundir.manifest import read_manifest
from tests.commands import (
    ENDLESS,
    Background,
    code_of,
    found,
    in_process,
    only_run,
    scenario_file,
    verdict_of,
    words_of,
)

pytestmark = pytest.mark.process

FAULTS = {
    "balance": {"delay_ms": 700},
    "transactions": {"error_ratio": 0.5},
    "health": {"wrong_body": True},
    "webhooks": {"cut": True},
}
"""A fault for each kind of traffic."""
OUTCOMES = {"transactions": "server_error", "health": "invalid", "webhooks": "connection"}


def test_each_check_finds_its_fault_in_a_broken_target(tmp_path):
    """Slow, failing, wrong and truncated answers: FAIL by the threshold concerned, in every output."""
    plan = {
        "model": "open",
        "client_count": 40,
        "mix": {endpoint: {"share": "25 %"} for endpoint in FAULTS},
        "phases": [{"name": "steady", "duration": "4 s", "rate": "50 rps"}],
        "thresholds": [
            {"endpoint": "balance", "expect": "p(50) < 400 ms"},
            {"endpoint": "balance", "expect": "error_ratio < 10 %"},
            *({"endpoint": endpoint, "expect": "error_ratio < 10 %"} for endpoint in OUTCOMES),
            {"expect": "goodput_ratio >= 90 %"},
        ],
    }
    done = in_process("run", scenario_file(tmp_path, **plan), "--out", tmp_path / "out", FAULTS=json.dumps(FAULTS))
    path = only_run(tmp_path / "out")
    assert done.returncode == code_of(path), done.stdout + done.stderr
    assert words_of(path) == {
        ("balance · all phases", "p(50) < 400 ms"): "FAIL",
        ("balance · all phases", "error_ratio < 10 %"): "PASS",
        ("transactions · all phases", "error_ratio < 10 %"): "FAIL",
        ("health · all phases", "error_ratio < 10 %"): "FAIL",
        ("webhooks · all phases", "error_ratio < 10 %"): "FAIL",
        ("all endpoints · all phases", "goodput_ratio >= 90 %"): "FAIL",
    }, done.stdout
    run = load_run(path)
    assert run.manifest.target.faults == json.dumps(FAULTS)
    assert "note: FAULTS: the reference API fails on purpose" in done.stderr
    assert found(path, "made to fail on purpose: FAULTS=") == {"NOTE"}
    counted = {name: tally(run.intervals[run.intervals["endpoint"] == name]) for name in FAULTS}
    for endpoint, outcome in OUTCOMES.items():
        assert counted[endpoint].outcomes[outcome] > counted[endpoint].sent / 4 > 0
    wrong = sum(counts.sent - counts.outcomes["ok"] for counts in counted.values())
    assert pd.read_csv(path / "locust_failures.csv")["Occurrences"].sum() == wrong
    suite = ElementTree.parse(path / files.JUNIT).getroot()
    assert int(suite.get("failures")) == len(suite.findall("testcase/failure")) == 5
    assert (path / files.SUMMARY).read_text().startswith(f"## {verdict_of(path)['verdict']}: quick\n")


@pytest.mark.long
def test_a_broken_window_ends_the_run(tmp_path):
    """Verdict, events and manifest name it, and the rest of the plan is not run."""
    thresholds = [{"expect": "error_ratio < 5 % for 3 s", "abort": True}, *ENDLESS["thresholds"]]
    background = Background(
        *("run", scenario_file(tmp_path, **ENDLESS | {"thresholds": thresholds}), "--out", tmp_path / "out"),
        FAULTS=json.dumps({"balance": {"error_ratio": 0.9}}),
    )
    code = background.end()
    assert background.survivors() == []
    run = load_run(only_run(tmp_path / "out"))
    assert code == code_of(run.path), background.output
    assert run.manifest.ending == "aborted"
    assert found(run.path, "error_ratio < 5 % for 3 s was violated from") == {"FAIL"}
    assert 3 <= run.measured_s < run.manifest.phases[-1].end_s / 2
    assert len(run.events[run.events["kind"] == "aborted"]) == 1


@pytest.mark.long
def test_a_target_that_dies_midway_fails(tmp_path):
    """With the reason, and the results so far."""
    run = Background("run", scenario_file(tmp_path, **ENDLESS), "--out", tmp_path / "out")
    run.wait_for(tmp_path / "out/*/intervals.csv.gz")
    run.child("payments_api").kill()
    code = run.end()
    path = only_run(tmp_path / "out")
    assert code == code_of(path), run.output
    assert read_manifest(path).ending == "target_died"
    assert found(path, "the target died after") == {"FAIL"}
    outcomes = tally(load_run(path).intervals).outcomes
    assert outcomes["ok"] > 0
    assert outcomes["connection"] > 0
    assert run.survivors() == []
