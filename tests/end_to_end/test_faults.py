"""Real runs with faults: they show where they were planned, and are undone."""

from __future__ import annotations

import json

import psutil
import pytest

from loadproof.analysis.estimates.overtime import answered, quantiles_over_time
from loadproof.analysis.frames.faults import faults_in
from loadproof.analysis.frames.run import load_run
from loadproof.outcome import Outcome
from loadproof.run.machine.ports import free_port
from loadproof.rundir import files
from tests.commands import ENDLESS, Background, found, in_process, only_run, scenario_file
from tests.loadproof.cli.refusals import refused
from tests.servers import Heard, serving

pytestmark = pytest.mark.process

FAULTY = {
    "mix": {"transactions": {"share": "50 %", "every": "200 ms"}, "health": {"share": "50 %", "every": "100 ms"}},
    "phases": [{"name": "steady", "duration": "7 s", "users": 10}],
    "timeouts": {"connect": "1 s", "total": "3 s"},
    "thresholds": [{"expect": "goodput_ratio >= 20 %"}],
    "faults": [
        {"fault": "latency", "phase": "steady", "at": "1 s", "lasts": "1 s", "latency": "200 ms"},
        {"fault": "pause", "phase": "steady", "at": "3 s", "lasts": "500 ms"},
        {"fault": "kill", "phase": "steady", "at": "4 s", "lasts": "500 ms"},
    ],
}


@pytest.mark.long
def test_faults_are_injected_into_the_embedded_target_and_undone(tmp_path):
    """Late answers, then none, then refused connections; payments made before the kill are still there afterwards."""
    in_process("run", scenario_file(tmp_path, **FAULTY), "--out", tmp_path / "out")
    path = only_run(tmp_path / "out")
    run = load_run(path)
    assert [(fault.text, fault.is_whole) for fault in faults_in(run)] == [
        ("latency of target", True),
        ("pause of target", True),
        ("kill of target", True),
    ]
    assert found(path, "on purpose: latency of target at 1") == {"NOTE"}
    p50_s = quantiles_over_time(answered(run.intervals), width_s=1)[0.5]
    assert p50_s[1] >= 0.2 > p50_s[0]
    cells = run.intervals[run.intervals["series"] == "service"]
    refused_in = set(cells[cells["outcome"] == Outcome.CONNECTION]["second"])
    assert 4 in refused_in
    # A request that was on its way when the kill came was due before it.
    assert min(refused_in) >= 3
    # A new ledger would know none of the payments, and reading them back would fail.
    assert not (cells["outcome"] == Outcome.INVALID).any()
    assert run.manifest.target.behind != run.manifest.target.base_url


@pytest.mark.long
def test_a_runner_that_is_killed_while_its_target_is_paused_leaves_nothing(tmp_path):
    """A paused target can't notice by itself that its run is gone."""
    pause = {"fault": "pause", "phase": "steady", "lasts": "1 min"}
    endless = FAULTY | ENDLESS | {"faults": [pause]}
    run = Background("run", scenario_file(tmp_path, **endless), "--out", tmp_path / "out")
    events = run.wait_for(tmp_path / "out/*/events.csv")
    run.eventually(lambda: "fault_begun" in events.read_text())
    run.children()
    run.process.kill()
    run.process.communicate()
    assert run.survivors() == []


@pytest.mark.long
def test_a_run_whose_keeper_and_redis_are_killed_is_invalid_and_leaves_nothing(tmp_path):
    """Its target is paused at that time, and resumes all the same."""
    pause = {"fault": "pause", "phase": "steady", "at": "1 s", "lasts": "2 s"}
    settings = {"limiter": "redis", "limits": {"transactions": "1000/s", "health": "1000/s"}}
    file = scenario_file(tmp_path, **FAULTY | {"faults": [pause], "settings": settings})
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    run = Background("run", file, "--out", tmp_path / "out", TMPDIR=str(temporary))
    events = run.wait_for(tmp_path / "out/*/events.csv")
    run.eventually(lambda: "fault_begun" in events.read_text())
    for name in ("loadproof.faults.keeper", "valkey"):
        victims = [each for each in run.children() if any(name in word for word in words_of_command(each))]
        victims[-1].kill()
    assert run.end() == 4
    assert run.survivors() == []
    assert list(temporary.iterdir()) == []
    path = only_run(tmp_path / "out")
    assert found(path, "this run's Redis died at ") == {"INVALID"}
    assert found(path, "pause of target, could not be done or undone") == {"INVALID"}


def words_of_command(process: psutil.Process) -> list[str]:
    """The process's command line; empty if it has ended."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


@pytest.mark.long
def test_a_redis_that_the_run_does_not_start_cannot_be_killed(tmp_path):
    """The one at REDIS_URL, or your own target's."""
    kill = {"fault": "kill", "of": "redis", "phase": "steady", "lasts": "1 s"}
    file = scenario_file(tmp_path, **FAULTY | {"faults": [kill], "settings": {"limiter": "redis"}})
    told = refused("run", file, "--out", tmp_path / "out", REDIS_URL="redis://127.0.0.1:1/0")
    assert "faults[0]: only processes that the run starts itself can be stopped, and REDIS_URL's isn't one" in told
    told = refused("run", file, "--out", tmp_path / "out", TARGET_URL="http://127.0.0.1:1")
    assert "faults[0]: the run doesn't control your own target's Redis, got 'kill of redis'" in told


def test_impossible_faults_are_refused_together(tmp_path):
    """With the reasons, before anything is sent."""
    heard = Heard()
    with serving(heard.script) as url:
        text = refused(
            *(
                "run",
                scenario_file(tmp_path, **FAULTY),
                "--listen",
                f"127.0.0.1:{free_port()}",
                "--out",
                tmp_path / "out",
            ),
            TARGET_URL=url,
            LOADPROOF_SECRET="5" * 64,
        )
    assert "faults[0]: workers on other machines can't reach the proxy" in text
    assert "faults[1]: only processes that the run starts itself can be stopped" in text
    assert "got 'kill of target'; use a fault of the network" in text
    assert heard.requests == []


@pytest.mark.long
def test_limits_are_audited_while_the_redis_of_two_processes_is_killed(tmp_path):
    """It goes and comes back, and requests counted without it are audited separately."""
    plan = {
        "mix": {"balance": {"share": "100 %", "every": "50 ms"}},
        "phases": [{"name": "steady", "duration": "8 s", "users": 12}],
        "timeouts": {"keep_alive_idle": "20 ms"},
        "expect_throttling": True,
        "thresholds": [{"audit": "limits"}, {"expect": "goodput_ratio >= 1 %"}],
        "faults": [{"fault": "kill", "of": "redis", "phase": "steady", "at": "2 s", "lasts": "4 s"}],
        "settings": {"limiter": "redis", "processes": 2, "redis_timeout": "250 ms", "limits": {"balance": "5/s"}},
    }
    in_process("run", scenario_file(tmp_path, **plan), "--out", tmp_path / "out", REDIS_URL="")
    path = only_run(tmp_path / "out")
    assert [(fault.text, fault.is_whole) for fault in faults_in(load_run(path))] == [("kill of redis", True)]
    (audit,) = json.loads((path / files.AUDIT).read_text())["audits"]
    words = {evidence["promise"]: evidence["word"] for evidence in audit["evidence"]}
    assert "FAIL" not in words.values()
    assert words["balance: quota"] == words["balance without Redis: quota"] == "PASS"
