"""The open model against real targets: nothing planned is forgotten, whatever the target and whoever stops it."""

from __future__ import annotations

import signal
import time

import pandas as pd
import pytest
import requests

from analysis.estimates.metrics import tally
from analysis.frames.run import load_run
from loadproof.plan.arrivals import ArrivalPlan
from loadproof.rundir import files
from tests.commands import Background, loadproof, only_run, scenario_file, verdict_of

pytestmark = pytest.mark.process

MIX = {"balance": {"share": "50 %"}, "transactions": {"share": "20 %"}, "health": {"share": "30 %"}}
PHASES = [
    {"name": "calm", "duration": "2 s", "rate": "40 rps"},
    {"name": "spike", "duration": "3 s", "rate": "200 rps", "ramp": "500 ms"},
]
OPEN = {
    "model": "open",
    "client_count": 50,
    "mix": MIX,
    "phases": PHASES,
    "thresholds": [{"expect": "goodput_ratio >= 90 %"}],
}


def planned(run) -> pd.DataFrame:
    """Arrivals by second and endpoint number, as the plan has them."""
    manifest = run.manifest
    plan = ArrivalPlan(manifest.scenario, manifest.phases, manifest.seed)
    blocks = [
        pd.DataFrame({"second": block.time_s.astype(int), "endpoint": block.endpoint.astype(int)}) for block in plan
    ]
    return pd.concat(blocks).value_counts().sort_index()


def offered(run) -> pd.DataFrame:
    """What was sent or dropped, in the second of its intended start."""
    rows = run.intervals[run.intervals["series"].isin(["response", "dropped", "abandoned"])]
    numbers = {name: number for number, name in enumerate(run.manifest.scenario.mix)}
    rows = rows.assign(endpoint=rows["endpoint"].astype(str).map(numbers))
    return rows.groupby(["second", "endpoint"])["count"].sum().sort_index()


@pytest.mark.parametrize("workers", [1, 3])
def test_what_is_offered_is_the_plan_whatever_the_number_of_workers(tmp_path, workers):
    """Per second and endpoint, to the request; Locust has counted the same."""
    done = loadproof("run", scenario_file(tmp_path, **OPEN), "--out", tmp_path / "reports", "--workers", workers)
    run = load_run(only_run(tmp_path / "reports"))
    assert run.manifest.ending == "completed", done.stdout
    assert offered(run).to_dict() == planned(run).to_dict()
    assert run.generator["dropped"].sum() == 0
    stats = pd.read_csv(run.path / "locust_stats.csv")
    total = stats[stats["Name"] == "Aggregated"]["Request Count"].iloc[0]
    assert total == tally(run.intervals).sent == run.generator["sent"].sum()


def test_a_target_that_stops_at_the_end_does_not_cut_the_tail_off(tmp_path):
    """What is in flight when the plan ends is waited for, and is what it is: timeouts."""
    run = Background("run", scenario_file(tmp_path, **OPEN), "--out", tmp_path / "reports")
    run.wait_for_phase(tmp_path / "reports", "spike")
    target = run.child("payments_api")
    time.sleep(1.5)
    target.send_signal(signal.SIGSTOP)
    code = run.end()
    seen = load_run(only_run(tmp_path / "reports"))
    counts = tally(seen.intervals)
    assert offered(seen).to_dict() == planned(seen).to_dict()
    assert counts.outcomes["timeout"] > 100
    assert counts.abandoned == 0
    assert code in {1, 4}, run.output


def test_beyond_the_bound_arrivals_are_dropped_and_count_against_the_target(tmp_path):
    """Never INVALID: every allowed user waited for an answer."""
    changes = OPEN | {"max_in_flight": 20, "timeouts": {"connect": "1 s", "total": "1 s"}}
    run = Background("run", scenario_file(tmp_path, **changes), "--out", tmp_path / "reports")
    run.wait_for_phase(tmp_path / "reports", "spike")
    target = run.child("payments_api")
    target.send_signal(signal.SIGSTOP)
    time.sleep(1.5)
    target.send_signal(signal.SIGCONT)
    code = run.end()
    seen = load_run(only_run(tmp_path / "reports"))
    assert tally(seen.intervals).dropped > 50
    assert seen.generator["in_flight"].max() == 20
    assert offered(seen).to_dict() == planned(seen).to_dict()
    assert code in {1, 4}, run.output


def test_an_interrupted_run_keeps_what_it_sent(tmp_path):
    """Ctrl-C in the spike: no more is sent, answers are waited for, 130."""
    run = Background("run", scenario_file(tmp_path, **OPEN), "--out", tmp_path / "reports")
    run.wait_for_phase(tmp_path / "reports", "spike")
    assert run.signalled(signal.SIGINT) == 130
    seen = load_run(only_run(tmp_path / "reports"))
    counts = tally(seen.intervals)
    assert 0 < counts.sent == seen.generator["sent"].sum() < planned(seen).sum()
    assert counts.abandoned == 0
    assert run.survivors() == []


@pytest.mark.parametrize("workers", [1, 2])
def test_the_web_ui_shows_the_run_and_its_stop_button_ends_it_in_order(tmp_path, workers):
    """With a report, as if interrupted."""
    port = 18_100 + workers
    file = scenario_file(tmp_path, **OPEN | {"phases": [{"name": "long", "duration": "60 s", "rate": "50 rps"}]})
    options = ("--ui-port", port, "--workers", workers)
    run = Background("run", file, "--out", tmp_path / "reports", *options)
    run.wait_for_phase(tmp_path / "reports", "long")
    time.sleep(1)
    ui = f"http://127.0.0.1:{port}"
    shown = requests.get(f"{ui}/stats/requests", timeout=5).json()
    assert shown["state"] == "running"
    assert requests.post(f"{ui}/stop", timeout=5).json()["success"]
    assert run.end() == 130, run.output
    path = only_run(tmp_path / "reports")
    seen = load_run(path)
    assert (seen.manifest.ending, seen.manifest.ending_detail) == ("interrupted", "in the web UI")
    assert 0 < tally(seen.intervals).sent == seen.generator["sent"].sum()
    assert verdict_of(path)["verdict"] in {"INCONCLUSIVE", "INVALID"}
    assert (path / files.REPORT).exists()
    assert run.survivors() == []


def test_a_run_in_the_web_ui_ends_by_itself(tmp_path):
    """When its plan is over."""
    done = loadproof("run", scenario_file(tmp_path, **OPEN), "--out", tmp_path / "reports", "--ui-port", 18_103)
    assert load_run(only_run(tmp_path / "reports")).manifest.ending == "completed", done.stdout
