"""The verdict of a real run, as a team reads it. The machine has to be quiet."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from bench.starvation import SCENARIO, stop_for
from loadproof.analysis.estimates.scope import tally
from loadproof.analysis.frames.bursts import bursts
from loadproof.analysis.frames.run import load_run
from tests.commands import QUICK, Background, loadproof, only_run, scenario_file, verdict_of
from tests.quiet import run_when_quiet

pytestmark = [pytest.mark.process, pytest.mark.quiet]

OPEN = {
    "model": "open",
    "client_count": 30,
    "mix": {name: {"share": each["share"]} for name, each in QUICK["mix"].items()},
    "phases": [{"name": "spike", "duration": "3 s", "rate": "80 rps", "ramp": "1 s"}],
    "thresholds": [{"phase": "spike", "expect": "p(90) < 400 ms"}, {"expect": "goodput_ratio >= 90 %"}],
}


def runs(tmp_path: Path, *options: object, environment: dict[str, str] | None = None, **changes: object) -> Callable:
    """A function that runs the quick scenario with changes in a new directory, and checks its exit code."""
    numbers = itertools.count()

    def run_once() -> Path:
        out = tmp_path / f"out-{next(numbers)}"
        done = loadproof("run", scenario_file(tmp_path, **changes), "--out", out, *options, **(environment or {}))
        run = only_run(out)
        codes = {"PASS": 0, "FAIL": 1, "INCONCLUSIVE": 3, "INVALID": 4}
        assert done.returncode == codes[verdict_of(run)["verdict"]], done.stdout + done.stderr
        return run

    return run_once


@pytest.mark.long
def test_a_healthy_target_passes_with_two_workers(tmp_path):
    """Whose bursts are simultaneous."""
    run = run_when_quiet(runs(tmp_path, "--workers", 2))
    assert verdict_of(run)["verdict"] == "PASS", verdict_of(run)["reason"]
    assert all(burst.spread_s < 0.05 for burst in bursts(load_run(run)))


def test_a_healthy_target_passes_in_the_open_model(tmp_path):
    """Exactly the planned arrivals, on time."""
    run = run_when_quiet(runs(tmp_path, **OPEN))
    assert verdict_of(run)["verdict"] == "PASS", verdict_of(run)["reason"]
    counts = tally(load_run(run).intervals)
    assert (counts.sent, counts.dropped) == (200, 0)


def test_a_broken_target_fails(tmp_path):
    """The violated threshold is the reason."""
    faults = json.dumps({"balance": {"error_ratio": 0.5}})
    run = run_when_quiet(runs(tmp_path, environment={"FAULTS": faults}))
    assert verdict_of(run)["verdict"] == "FAIL"
    assert "error_ratio" in verdict_of(run)["reason"]


@pytest.mark.long
def test_a_stalled_target_is_never_blamed_on_the_generator(tmp_path):
    """`make bench-starvation` does this and similar things 20 times."""
    numbers = itertools.count()

    def run_once() -> Path:
        out = tmp_path / f"out-{next(numbers)}"
        run = Background("run", scenario_file(tmp_path, **SCENARIO), "--out", out)
        run.wait_for_phase(out, "steady")
        stop_for(run.child("payments_api"), 2.0)
        run.end()
        return only_run(out)

    assert verdict_of(run_when_quiet(run_once))["verdict"] == "FAIL"


@pytest.mark.long
def test_a_gate_exits_with_the_worst_verdict(tmp_path):
    """A healthy scenario, and one that expects too much."""
    phases, thresholds = [{"name": "steady", "duration": "2 s", "users": 20}], [{"expect": "goodput_ratio >= 90 %"}]
    quick, strict = scenario_file(tmp_path, phases=phases, thresholds=thresholds), tmp_path / "strict.yaml"
    changes = {"name": "strict", "thresholds": [*thresholds, {"expect": "max < 10 us"}]}
    strict.write_text(yaml.safe_dump(yaml.safe_load(quick.read_text()) | changes))
    numbers, codes = itertools.count(), []

    def run_once() -> Path:
        out = tmp_path / f"out-{next(numbers)}"
        codes.append(loadproof("gate", quick, strict, "--out", out).returncode)
        runs_in = sorted(out.glob("*-gate/*-[qs]*"))
        return next((run for run in runs_in if verdict_of(run)["verdict"] == "INVALID"), runs_in[0])

    run = run_when_quiet(run_once)
    assert (verdict_of(run)["verdict"], codes[-1]) == ("PASS", 1)
