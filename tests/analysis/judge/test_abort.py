"""A broken window ends the run: at once, in order, and never before."""

from __future__ import annotations

import json

import numpy as np
import pytest

from analysis.frames.run import load_run
from analysis.judge.abort import AbortWatch
from loadproof.plan.phases import plan_phases
from loadproof.rundir import files
from loadproof.rundir.intervals import IntervalsTail, append_intervals
from simulation.rundirs import open_scenario
from simulation.traffic import poisson, run_of
from tests.commands import Background, only_run, scenario_file, verdict_of

PLAN = open_scenario(
    phases=[{"name": "steady", "duration": "60 s", "rate": "100 rps"}],
    mix={"balance": {"share": "100 %"}},
    thresholds=[
        {"expect": "error_ratio < 5 % for 5 s", "abort": True},
        {"expect": "goodput >= 50 rps for 5 s", "abort": True},
        {"expect": "p(95) < 100 ms for 5 s"},
        {"expect": "goodput > 1 rps"},
    ],
)


def watched(tmp_path, failing: range) -> list[str | None]:
    """What is said at the end of each second, as the file grows."""
    at_s = poisson(np.random.default_rng(1), PLAN)
    outcome = np.where(np.isin(at_s.astype(int), failing), "server_error", "ok")
    rows = run_of(PLAN, at_s, np.full(at_s.size, 0.2), outcome).intervals
    watch = AbortWatch(tmp_path, PLAN, plan_phases(PLAN))
    said = [watch.broken(0.5)]
    for second in range(60):
        append_intervals(tmp_path / files.INTERVALS, rows[rows["second"] == second].to_numpy().tolist())
        said.append(watch.broken(second + 1.4))
    return said


def test_it_is_said_when_the_first_broken_window_has_ended(tmp_path):
    """And not for a threshold without `abort`, which every window breaks here."""
    said = watched(tmp_path, range(30, 60))
    first = next(number for number, one in enumerate(said) if one)
    assert 30 < first <= 33
    assert said[first].startswith("all endpoints · all phases: error_ratio < 5 % for 5 s was broken from ")
    assert said[first].endswith(f"to {first} s")


def test_a_healthy_run_goes_on(tmp_path):
    """To its end; a window that is not over yet has few requests, and breaks nothing."""
    assert not any(watched(tmp_path, range(0)))


def test_a_member_is_read_once_and_when_it_is_whole(tmp_path):
    """The file may be seen while it is written to."""
    path = tmp_path / files.INTERVALS
    tail = IntervalsTail(path)
    assert tail.read() == b""
    append_intervals(path, [(0, "steady", "balance", "ok", "response", 5, 1)])
    whole = path.read_bytes()
    path.write_bytes(whole[:-3])
    assert tail.read() == b""
    path.write_bytes(whole)
    assert tail.read().splitlines()[-1] == b"0,steady,balance,ok,response,5,1"
    assert tail.read() == b""


@pytest.mark.process
def test_a_run_against_a_failing_target_is_ended_and_fails(tmp_path):
    """With what was broken in the verdict, the events and the manifest, and the rest of the plan not run."""
    phases = [{"name": "steady", "duration": "40 s", "users": 20}]
    thresholds = [
        {"expect": "error_ratio < 5 % for 3 s", "abort": True},
        {"expect": "goodput_ratio >= 90 %"},
    ]
    file = scenario_file(tmp_path, phases=phases, thresholds=thresholds)
    faults = json.dumps({"balance": {"error_ratio": 0.9}})
    background = Background("run", file, "--out", tmp_path / "reports", FAULTS=faults)
    assert background.end() in {1, 4}, background.output
    assert background.survivors() == []
    run = load_run(only_run(tmp_path / "reports"))
    verdict = verdict_of(run.path)
    assert run.manifest.ending == "aborted"
    (finding,) = [finding for finding in verdict["findings"] if finding["word"] == "FAIL"]
    assert "error_ratio < 5 % for 3 s was broken from 0 s to 3 s" in finding["what"]
    # The window ended at 3 s; what was in flight was waited for.
    assert 3 <= run.measured_s <= 6
    aborted = run.events[run.events["kind"] == "aborted"]["time_s"]
    assert aborted.iloc[0] <= 3 + 2
