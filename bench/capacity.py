"""How often the interval of `loadproof capacity` covers a known truth.

    python -m bench.capacity simulated [SIMULATIONS]        a queue and logistic curves; takes minutes
    python -m bench.capacity real [TIMES]                   a real server with slots; eight minutes per search

Both write bench/results/capacity.json; real searches are added to earlier ones, so you can run them in several
sittings.
"""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from bench.rounds import Rounds, Unmeasured, reading
from bench.runs import only_run
from bench.serving import (
    ROOT,
    SERVER_CORE,
    has_results,
    machine,
    pinned,
    read_results,
    write_results,
)
from loadproof.analysis.capacity.capacity import Found, capacity_of
from loadproof.cli.capacity.capacity import known_by
from loadproof.run.experiments.capacity import Measure, TrialPlan
from loadproof.rundir.trials import CAPACITY
from simulation.trials import STEADY_RPS, LogisticTarget, SingleServer, SlotServer, half_rps, search_for

SEARCH = search_for(100.0, 4000.0)
MIDDLE_RPS = 975.0
SLOTS, SERVICE_S, LIMIT_S = 4, 0.02, 0.2
SCENARIO = {
    "name": "slots",
    "model": "open",
    "client_count": 50,
    "deadline": "1 s",
    "timeouts": {"connect": "1 s", "total": "2 s"},
    "mix": {"health": {"share": "100 %"}},
    "phases": [{"name": "steady", "duration": "30 s", "rate": "100 rps"}],
    "thresholds": [{"expect": "p(95) < 200 ms"}, {"expect": "goodput_ratio >= 50 %"}],
}
RANGE = ("--from", "50", "--to", "800")
LONGEST_S = 1800
UNMEASURED = {Found.INVALID, Found.UNFINISHED}
"""Searches that say nothing about the interval: they are repeated."""


def simulated(simulations: int) -> list[dict[str, Any]]:
    """A row per kind of target."""
    truth = half_rps(SingleServer(np.random.default_rng(5)).losses, 10.0, low=800.0, high=900.0, times=400)
    targets: dict[str, tuple[Callable[[np.random.Generator], Measure], float]] = {
        "single server (M/M/1)": (lambda random: SingleServer(random).measure, truth),
        **{f"logistic, slope {slope}": (_logistic(slope), MIDDLE_RPS) for slope in (20, 60, 300)},
    }
    rows = []
    for name, (target, true_rps) in targets.items():
        row = covered(target, true_rps, simulations)
        rows.append({"target": name, "truth_rps": true_rps, **row})
        sys.stderr.write(f"{rows[-1]}\n")
    rows[0]["steady_rps"] = STEADY_RPS
    return rows


def _logistic(slope: float) -> Callable[[np.random.Generator], Measure]:
    return lambda random: LogisticTarget(random, MIDDLE_RPS, slope).measure


def covered(target: Callable[[np.random.Generator], Measure], true_rps: float, simulations: int) -> dict[str, Any]:
    """How often the interval and the search's bounds enclose the truth, with median width and number of trials."""
    inside, between, widths, trials = 0, 0, [], []
    words: Counter[str] = Counter()
    for seed in range(simulations):
        plan = TrialPlan(SEARCH, target(np.random.default_rng(seed)), known_by(SEARCH), clock=lambda: 0.0)
        plan.make()
        result = capacity_of(SEARCH, plan.trials)
        words[result.found] += 1
        trials.append(len(plan.trials))
        together = result.together
        between += (together.lower_rps or 0) <= true_rps <= (together.upper_rps or float("inf"))
        if result.found is Found.FOUND and together.half is not None:
            inside += together.half.low <= true_rps <= together.half.high
            widths.append((together.half.high - together.half.low) / together.half.value)
    return {
        "simulations": simulations,
        "found": words[Found.FOUND],
        "covered": inside,
        "between_bounds": between,
        "median_width": float(np.median(widths)),
        "median_trials": float(np.median(trials)),
    }


def real_search(seed: int) -> dict[str, Any]:
    """What one search of the server with slots wrote; Unmeasured if it was INVALID or didn't end."""
    with tempfile.TemporaryDirectory() as place, slot_server() as base_url:
        directory = Path(place)
        (directory / "slots.yaml").write_text(yaml.safe_dump(SCENARIO))
        (directory / "target.yaml").write_text(yaml.safe_dump({"base_url": base_url}))
        files = (directory / "slots.yaml", "--target", directory / "target.yaml", "--out", directory / "out")
        search = subprocess.run(
            [sys.executable, "-m", "loadproof", "capacity", *map(str, files), *RANGE, "--seed", str(seed)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=LONGEST_S,
            check=False,
        )
        sys.stderr.write(search.stdout + search.stderr)
        with reading(search.stderr):
            capacity: dict[str, Any] = json.loads((only_run(directory / "out") / CAPACITY).read_text())
    if capacity["found"] in UNMEASURED:
        raise Unmeasured(capacity["sentence"])
    return capacity


@contextmanager
def slot_server() -> Iterator[str]:
    """Run the server on the target's core; yields its base URL."""
    command = pinned([sys.executable, "-m", "bench.slotserver", str(SLOTS), str(SERVICE_S)], SERVER_CORE)
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        port = server.stdout.readline().strip() if server.stdout else ""
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


def main() -> None:
    kind, times = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else None
    results = read_results("capacity") if has_results("capacity") else {}
    if kind == "simulated":
        rows = simulated(times or 100)
        results |= {"simulated": {**machine(), "command": "make bench-capacity", "rows": rows}}
        write_results("capacity", results)
        return
    slots = SlotServer(np.random.default_rng(1), SLOTS, SERVICE_S, LIMIT_S, warm_up_s=2.0)
    truth = half_rps(slots.losses, 10.0, low=150.0, high=250.0)
    add_searches(results, times or 10, truth)


def add_searches(results: dict[str, Any], times: int, true_rps: float) -> None:
    """Make real searches, and write the results after each."""
    earlier = results.get("real", {})
    made, failed = [*earlier.get("searches", [])], [*earlier.get("failed", [])]
    rounds = Rounds(earlier)
    for _ in range(times):
        search = functools.partial(real_search, len(made) + len(failed) + 1)
        capacity = rounds.measured("loadproof capacity", search)
        if capacity is not None and capacity["found"] == Found.FOUND:
            half = capacity["all_goals"]["half_of_trials"]
            made.append({name: half[name] for name in ("value", "low", "high", "trials")})
        elif capacity is not None:
            # Coverage of only those that succeeded would be too good.
            failed.append(capacity["sentence"])
        found = {"truth_rps": true_rps, "searches": made, "failed": failed, **rounds.reported()}
        results["real"] = {**machine(), "command": "make bench-capacity", **found}
        write_results("capacity", results)


if __name__ == "__main__":
    main()
