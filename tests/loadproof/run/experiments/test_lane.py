"""Two runs at the same time, each on its half of the machine."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from loadproof.plan.interleaving import SIDES
from loadproof.run.assignment import Assignment
from loadproof.run.experiments import lane
from loadproof.run.experiments.lane import Lane, LaneRun, lanes, run_both
from loadproof.run.machine.shipped import LOCUSTFILES
from loadproof.run.processes.locust import CrewOptions
from loadproof.rundir.manifest import read_manifest
from loadproof.scenario.loading import load_scenario
from loadproof.scenario.target.targetfile import TargetFile
from tests.commands import scenario_file
from tests.servers import Heard, serving

PLAN = {
    "model": "open",
    "client_count": 5,
    "mix": {"health": {"share": "100 %"}},
    "phases": [{"name": "steady", "duration": "2 s", "rate": "20 rps"}],
    "thresholds": [{"expect": "goodput_ratio >= 50 %"}],
    "settings": {},
}


def test_the_halves_of_a_machine_are_equal_and_share_no_core():
    """One core of each half generates the load; an odd core stays unused."""
    left, right = lanes(range(9))
    assert left == Lane(frozenset({0}), frozenset({1, 2, 3}))
    assert right == Lane(frozenset({4}), frozenset({5, 6, 7}))


@pytest.fixture
def both(tmp_path):
    """Two runs against one healthy service, on the same cores."""
    heard = Heard()
    whole = Lane(frozenset({0, 1}), frozenset({0, 1}))
    with serving(heard.script) as url:
        file = scenario_file(tmp_path, **PLAN)
        assignment = Assignment(
            load_scenario(file), file, TargetFile(base_url=url), seed=3, command="", crew=CrewOptions(LOCUSTFILES)
        )
        runs = []
        for side in SIDES:
            (tmp_path / side).mkdir()
            runs.append(LaneRun(replace(assignment, command=side), tmp_path / side, whole))
        yield tuple(runs)


@pytest.mark.process
@pytest.mark.long
def test_both_runs_begin_together_and_send_the_same_arrivals(both, monkeypatch):
    """Within a fiftieth of a second."""
    monkeypatch.setattr(lane, "_LEAD_S", 40.0)
    assert run_both(both, lambda: False) == ""
    manifests = [read_manifest(run.path) for run in both]
    assert [manifest.ending for manifest in manifests] == ["completed", "completed"]
    assert [manifest.command for manifest in manifests] == [*SIDES]
    assert abs(manifests[0].start_unix_s - manifests[1].start_unix_s) < 0.02


@pytest.mark.process
@pytest.mark.long
def test_a_pair_that_could_not_begin_together_is_reported(both, monkeypatch):
    """One of the runs was not ready in time."""
    monkeypatch.setattr(lane, "_LEAD_S", 0.0)
    monkeypatch.setattr(lane, "_APART_S", 0.0)
    assert "this machine is too slow to start both in time" in run_both(both, lambda: False)


@pytest.mark.process
@pytest.mark.long
def test_a_stop_ends_both_runs(both):
    """Long before they would have begun."""
    until = time.monotonic() + 6
    assert run_both(both, lambda: time.monotonic() > until) == ""
    assert {read_manifest(run.path).ending for run in both} == {"terminated"}
