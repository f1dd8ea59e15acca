"""The open model against real targets: every planned arrival is accounted for, whatever the target does."""

from __future__ import annotations

import json
from collections import Counter

import pandas as pd
import pytest
import requests

from loadproof.analysis.estimates.scope import tally
from loadproof.analysis.frames.run import Run, load_run
from loadproof.plan.arrivals import ArrivalPlan
from loadproof.run.machine.ports import free_port
from loadproof.rundir import files
from tests.commands import Background, code_of, found, in_process, only_run, scenario_file, word_of
from tests.end_to_end.notingserver import noting_requests

pytestmark = pytest.mark.process

OPEN = {
    "model": "open",
    "client_count": 40,
    "mix": {"balance": {"share": "40 %"}, "transactions": {"share": "40 %"}, "webhooks": {"share": "20 %"}},
    "thresholds": [{"expect": "goodput_ratio >= 90 %"}],
}


def planned(run: Run) -> dict[tuple[int, int], int]:
    """Planned arrivals by second and endpoint number."""
    manifest = run.manifest
    plan = ArrivalPlan(manifest.scenario, manifest.phases, manifest.seed)
    blocks = [
        pd.DataFrame({"second": block.time_s.astype(int), "endpoint": block.endpoint.astype(int)}) for block in plan
    ]
    return pd.concat(blocks).value_counts().to_dict()


def offered(run: Run) -> dict[tuple[int, int], int]:
    """Arrivals sent or dropped, by second of their intended start and endpoint number."""
    rows = run.intervals[run.intervals["series"].isin(["response", "dropped", "abandoned"])]
    numbers = {name: number for number, name in enumerate(run.manifest.scenario.mix)}
    rows = rows.assign(endpoint=rows["endpoint"].astype(str).map(numbers))
    return rows.groupby(["second", "endpoint"])["count"].sum().to_dict()


@pytest.mark.long
def test_the_plan_is_sent_whatever_the_number_of_workers(tmp_path):
    """Exactly, per second and endpoint; the same bytes from the same addresses; also with the web UI.

    Only ids of payments and events differ between runs: otherwise the second run would repeat the first one's payments.

    Some answers are wrong and some aren't HTTP: each gets its outcome.
    """
    phases = [
        {"name": "calm", "duration": "1 s", "rate": "20 rps"},
        {"name": "spike", "duration": "2 s", "rate": "60 rps", "ramp": "500 ms"},
    ]
    file, noted = scenario_file(tmp_path, **OPEN, phases=phases), []
    for number, options in enumerate([("--ui-port", free_port()), ("--workers", 2)]):
        with noting_requests() as (url, seen):
            out = tmp_path / str(number)
            done = in_process("run", file, "--out", out, *options, TARGET_URL=url)
        run = load_run(only_run(out))
        assert run.manifest.ending == "completed", done.stdout + done.stderr
        assert done.returncode == code_of(run.path), done.stdout + done.stderr
        assert offered(run) == planned(run)
        counts = tally(run.intervals)
        assert (counts.dropped, counts.abandoned) == (0, 0)
        stats = pd.read_csv(run.path / "locust_stats.csv")
        total = stats[stats["Name"] == "Aggregated"]["Request Count"].iloc[0]
        assert total == counts.sent == run.generator["sent"].sum() == seen.total()
        by_kind = Counter()
        for request, count in seen.items():
            by_kind["connection" if request.path.startswith("/webhooks") else "invalid"] += count
        assert +Counter(counts.outcomes) == by_kind
        noted.append(seen)
    alone, together = (Counter(one.without_ids() for one in seen.elements()) for seen in noted)
    assert alone == together
    ids, others = ({one.new_id() for one in seen} - {None} for seen in noted)
    assert len(ids) == len(others) > 50
    assert not ids & others


@pytest.mark.long
def test_arrivals_beyond_the_bound_are_dropped_and_count_against_the_target(tmp_path):
    """A hanging target: all requests sent time out, including those in flight at the end; the others are never sent."""
    changes = {
        "max_in_flight": 20,
        "arrivals": "uniform",
        "timeouts": {"connect": "1 s", "total": "1 s"},
        "phases": [{"name": "flat", "duration": "3 s", "rate": "100 rps"}],
        "thresholds": [*OPEN["thresholds"], {"expect": "error_ratio < 5 %"}],
        "mix": {"balance": {"share": "50 %"}, "health": {"share": "50 %"}},
    }
    faults = json.dumps({"balance": {"hang": True}, "health": {"hang": True}})
    done = in_process("run", scenario_file(tmp_path, **OPEN | changes), "--out", tmp_path / "out", FAULTS=faults)
    run = load_run(only_run(tmp_path / "out"))
    assert done.returncode == code_of(run.path), done.stdout + done.stderr
    counts = tally(run.intervals)
    assert offered(run) == planned(run)
    assert run.generator["in_flight"].max() == 20
    assert counts.outcomes["timeout"] == counts.sent >= 20
    assert counts.dropped > 100
    assert counts.abandoned == 0
    assert word_of(run.path, "goodput_ratio >= 90 %") == "FAIL", done.stdout
    assert word_of(run.path, "error_ratio < 5 %") == "FAIL"
    assert found(run.path, "arrivals were dropped while users were free") == set()


@pytest.mark.long
def test_the_stop_button_of_the_web_ui_ends_a_run_cleanly(tmp_path):
    """With a report, as if interrupted."""
    port = free_port()
    phases = [{"name": "long", "duration": "2 min", "rate": "50 rps"}]
    file = scenario_file(tmp_path, **OPEN, phases=phases)
    run = Background("run", file, "--out", tmp_path / "out", "--ui-port", port)
    run.wait_for(tmp_path / "out/*/intervals.csv.gz")
    ui = f"http://127.0.0.1:{port}"
    assert requests.get(f"{ui}/stats/requests", timeout=30).json()["state"] == "running"
    assert requests.post(f"{ui}/stop", timeout=30).json()["success"]
    assert run.end() == 130, run.output
    path = only_run(tmp_path / "out")
    seen = load_run(path)
    assert (seen.manifest.ending, seen.manifest.ending_detail) == ("interrupted", "in the web UI")
    assert 0 < tally(seen.intervals).sent == seen.generator["sent"].sum()
    assert found(path, "interrupted after") == {"INCONCLUSIVE"}
    assert (path / files.REPORT).exists()
    assert run.survivors() == []
