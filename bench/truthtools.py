"""Runs one tool against a server at a planned rate, and reads the percentiles that the tool reports."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.rounds import reading
from bench.runs import measured_run
from bench.serving import ROOT, loadproof_run
from bench.throughput import PEERS, output_of
from loadproof.analysis.frames.cellsums import histogram
from loadproof.histogram import value_at_rank
from loadproof.outcome import Outcome
from loadproof.plan.arrivals import ArrivalPlan

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from loadproof.analysis.frames.run import Run
    from loadproof.rundir.manifest import Manifest

QUANTILES = (0.5, 0.9, 0.95, 0.99, 0.999)
USERS = 100
"""Users of the closed-model tools, which divide the rate among them."""

Quantiles = dict[float, float]
"""Seconds by quantile, 0–1."""


@dataclass(frozen=True)
class Script:
    name: str
    rate_rps: int
    seconds: int
    gaps: tuple[float, ...] = ()
    """Quantiles between modes; quantiles within 0.02 of them are left out."""


@dataclass(frozen=True)
class Load:
    """One tool's turn against one server."""

    script: Script
    url: str
    directory: Path


@dataclass(frozen=True)
class Reported:
    service: Quantiles
    response: Quantiles
    """The same as `service` for tools that only report one time."""
    intended_s: NDArray[np.float64] | None = None
    """Unix times when each request was planned, in order; only for loadproof."""


def quantiles_of(values_s: NDArray[np.float64]) -> Quantiles:
    ordered = np.sort(values_s)
    return {q: float(ordered[max(0, int(np.ceil(q * ordered.size)) - 1)]) for q in QUANTILES}


def loadproof(load: Load) -> Reported:
    sets = {"phases.steady.rate": f"{load.script.rate_rps} rps", "phases.steady.duration": f"{load.script.seconds} s"}
    options = [part for key, value in sets.items() for part in ("--set", f"{key}={value}")]
    out = load.directory / "reports"
    subprocess.run(
        loadproof_run(ROOT / "bench/truth.yaml", load.url, str(out), *options),
        cwd=ROOT,
        capture_output=True,
        check=False,
        timeout=load.script.seconds + 60,
    )
    run = measured_run(out)
    return Reported(_of_run(run, "service"), _of_run(run, "response"), planned_s(run.manifest))


def planned_s(manifest: Manifest) -> NDArray[np.float64]:
    """Unix times when each request was planned, in order."""
    plan = ArrivalPlan(manifest.scenario, manifest.phases, manifest.seed)
    return np.concatenate([block.time_s for block in plan]) + manifest.start_unix_s


def _of_run(run: Run, series: str) -> Quantiles:
    counts = histogram(run.intervals, series, Outcome.OK)
    return {q: value_at_rank(counts, int(np.ceil(q * counts.sum()))) * 1e-6 for q in QUANTILES}


def k6(load: Load) -> Reported:
    summary = load.directory / "summary.json"
    text = output_of(
        ["k6", "run", "--quiet", "--summary-export", summary, PEERS / "arrivals.js"],
        BASE_URL=load.url,
        RATE=str(load.script.rate_rps),
        SECONDS=str(load.script.seconds),
        VUS="400",
    )
    with reading(text):
        trend = json.loads(summary.read_text())["metrics"]["http_req_duration"]
        return _known_once({q: trend[f"p({q * 100:g})"] * 1e-3 for q in QUANTILES})


def locust(load: Load) -> Reported:
    prefix = load.directory / "locust"
    command = [
        *(Path(sys.executable).with_name("locust"), "-f", PEERS / "locust_users.py", "--headless", "--host", load.url),
        *("-u", USERS, "-r", USERS, "-t", f"{load.script.seconds}s", "--csv", prefix, "--only-summary"),
        *("--stop-timeout", 5),
    ]
    text = output_of(command, BENCH_CLIENT="requests", BENCH_RATE=str(load.script.rate_rps / USERS))
    with reading(text), Path(f"{prefix}_stats.csv").open(newline="") as file:
        total = list(csv.DictReader(file))[-1]
        return _known_once({q: float(total[f"{q * 100:g}%"]) * 1e-3 for q in QUANTILES})


def hey(load: Load) -> Reported:
    rate = load.script.rate_rps / USERS
    assert rate.is_integer()
    text = output_of(
        [
            *("hey", "-z", f"{load.script.seconds}s", "-c", USERS, "-q", int(rate), "-cpus", 1),
            *("-o", "csv", f"{load.url}/balance/acct-000000"),
        ]
    )
    with reading(text):
        rows = csv.DictReader(line for line in text.splitlines() if "," in line)
        return _known_once(quantiles_of(np.array([float(row["response-time"]) for row in rows])))


def wrk(load: Load) -> Reported:
    text = output_of(
        [
            *("wrk", "-t1", f"-c{USERS}", f"-d{load.script.seconds}s", "--timeout", "10s"),
            *("-s", PEERS / "percentiles.lua", f"{load.url}/balance/acct-000000"),
        ]
    )
    percentiles_s = {float(p): float(ms) * 1e-3 for p, ms in re.findall(r"PERCENTILE ([\d.]+) ([\d.]+)", text)}
    with reading(text):
        return _known_once({q: percentiles_s[round(q * 100, 3)] for q in QUANTILES})


def _known_once(quantiles: Quantiles) -> Reported:
    return Reported(quantiles, quantiles)


TOOLS: dict[str, Callable[[Load], Reported]] = {
    "loadproof": loadproof,
    "k6": k6,
    "Locust HttpUser": locust,
    "hey": hey,
    "wrk": wrk,
}
