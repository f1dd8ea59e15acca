"""The commands of the shipped workflow, run as GitHub would, against a service that isn't loadproof's."""

from __future__ import annotations

import json
import os
import re
import subprocess

import pytest
import yaml

from drills.target import running_target
from loadproof.cli.gate import RUNS_BESIDE_BASELINE
from loadproof.run.machine.shipped import SCENARIOS
from loadproof.rundir.manifest import read_manifest
from loadproof.scenario.loading import load_scenario
from tests.commands import ROOT, words_of

GATE = yaml.safe_load((ROOT / ".github/workflows/load.yml").read_text(encoding="utf-8"))["jobs"]["gate"]
(COMMANDS,) = [step["run"] for step in GATE["steps"] if "run" in step]
STAGING = "127.1"
"""Loopback under a name that isn't recognized as loopback."""


def run_commands(copy, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the commands in bash as GitHub does; a repository variable that isn't set is empty."""
    given = dict.fromkeys(GATE["env"], "") | {"SCENARIOS": "smoke"} | variables
    return subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", COMMANDS],
        cwd=copy,
        env={**os.environ, **given},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


def test_the_timeout_of_a_job_is_long_enough_for_its_gate():
    """With a baseline, every scenario of a release runs several times; each run may take 20 s besides its phases."""
    by_event = re.findall(r"'([\w -]+)'", re.sub(r"== '\w+'", "", GATE["env"]["SCENARIOS"]))
    with_baseline, alone = map(int, re.findall(r"\d+", str(GATE["timeout-minutes"])))
    for names in by_event:
        once_s = sum(load_scenario(SCENARIOS / f"{name}.yaml").duration_s + 20 for name in names.split())
        assert once_s < 60 * alone
        assert RUNS_BESIDE_BASELINE * once_s < 60 * with_baseline


@pytest.mark.long
@pytest.mark.process
def test_the_workflow_gates_a_remote_service(copy):
    """Its clients share an address, with a note; other settings of the repository come from variables."""
    with running_target(LIMITER="off", ACCOUNTS="500") as target:
        url = target.url.replace("127.0.0.1", STAGING)
        done = run_commands(
            copy, TARGET_URL=url, LOADPROOF_ALLOW_HOSTS=STAGING, GATE_OPTIONS="--set phases.smoke.duration=11s"
        )
    said = done.stdout + done.stderr
    assert f"note: smoke: all users share one client address ({STAGING} isn't on IPv4 loopback)" in said
    (gate,) = copy.glob("reports/*-gate")
    (smoke,) = json.loads((gate / "gate.json").read_text())["scenarios"]
    assert smoke["run"] is not None, said
    scenario = read_manifest(gate / smoke["run"]).scenario
    assert (scenario.clients, scenario.duration_s) == ("shared", 11)
    assert set(words_of(gate / smoke["run"]).values()) == {"PASS"}, said


@pytest.mark.long
@pytest.mark.process
def test_a_host_that_is_not_allowed_is_not_gated(copy):
    """It is refused before the first packet."""
    done = run_commands(copy, TARGET_URL=f"http://{STAGING}:9")
    assert done.returncode == 2
    assert "this host is not on the allow list" in done.stderr
