"""1000 requests per second in the open model: how late they are and what they cost, compared with k6.

    python -m bench.rate [ROUNDS]        writes bench/results/rate.json

Tool and server, loadproof/run/experiments/truthserver.py, run on separate cores. The server measures start lag: the
time when it read a request − the time when the request was planned. k6 doesn't reveal its plan, so its n-th request is
taken as planned n ms after an origin that makes the earliest one punctual, which can only flatter it. CPU time is
measured for the entire command, and for loadproof also for the sending process alone, from its generator.csv.
"""

from __future__ import annotations

import functools
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.machine import probe
from bench.rounds import Rounds, Unmeasured
from bench.runs import measured_run
from bench.serving import ROOT, add_run, loadproof_run, machine
from bench.throughput import PEERS, output_of, versions
from bench.truth import truth_server
from bench.truthtools import QUANTILES, Script, planned_s, quantiles_of
from loadproof.analysis.frames.cellsums import histogram
from loadproof.histogram import value_at_rank
from loadproof.outcome import Outcome

if TYPE_CHECKING:
    from numpy.typing import NDArray

SCRIPT = Script("none", 1000, 30)
GOALS = {"lag_p50_s": 0.0003, "lag_p99_s": 0.002, "cpu_over_k6": 0.5}


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    rounds = Rounds()
    figures: dict[str, list[dict[str, float]]] = {name: [] for name in TOOLS}
    for number in range(count):
        for name, measure in TOOLS.items():
            figure = rounds.measured(name, functools.partial(measure, number))
            if figure is not None:
                figures[name].append(figure)
                sys.stderr.write(f"round {number + 1} of {count}: {name}: {figure}\n")
    counts = rounds.reported()
    result = {**machine(), "command": "make bench-rate", "versions": versions(), "probe": probe()}
    median = {name: medians(ones) for name, ones in figures.items() if ones}
    add_run("rate", result | {"rounds": figures, "median": median, "goals": GOALS} | counts)


def medians(rounds: list[dict[str, float]]) -> dict[str, float]:
    return {key: round(statistics.median(one[key] for one in rounds), 6) for key in rounds[0]}


def loadproof(seed: int) -> dict[str, float]:
    sets = {"phases.steady.rate": f"{SCRIPT.rate_rps} rps", "phases.steady.duration": f"{SCRIPT.seconds} s"}
    options = [part for key, value in sets.items() for part in ("--set", f"{key}={value}")]
    with tempfile.TemporaryDirectory() as name, truth_server(SCRIPT, seed, Path(name)) as (url, log):
        out = Path(name) / "reports"
        before_s = children_cpu_s()
        command = loadproof_run(ROOT / "bench/truth.yaml", url, str(out), "--seed", seed + 1, *options)
        subprocess.run(command, cwd=ROOT, capture_output=True, check=False, timeout=120)
        cpu_s = children_cpu_s() - before_s
        run = measured_run(out)
        read_s = np.sort(log()[:, 0])
    planned = planned_s(run.manifest)
    if planned.size != read_s.size:
        raise Unmeasured(f"loadproof: {planned.size} requests were planned, {read_s.size} read")
    lags = histogram(run.intervals, "lag", Outcome.OK)
    reported_lag = {q: value_at_rank(lags, int(np.ceil(q * lags.sum()))) * 1e-6 for q in QUANTILES}
    sending_s = float(run.generator["cpu_ratio"][: SCRIPT.seconds].sum())
    return {
        **named("lag", quantiles_of(read_s - planned)),
        **named("told_lag", reported_lag),
        "cpu_s_per_1000": cpu_s / read_s.size * 1000,
        "sending_cpu_s_per_1000": sending_s / read_s.size * 1000,
    }


def k6(seed: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as name, truth_server(SCRIPT, seed, Path(name)) as (url, log):
        before_s = children_cpu_s()
        output_of(
            ["k6", "run", "--quiet", PEERS / "arrivals.js"],
            BASE_URL=url,
            RATE=str(SCRIPT.rate_rps),
            SECONDS=str(SCRIPT.seconds),
            VUS="100",
        )
        cpu_s = children_cpu_s() - before_s
        read_s = np.sort(log()[:, 0])
    if not read_s.size:
        raise Unmeasured("k6 sent nothing")
    return {**named("lag", quantiles_of(on_a_grid(read_s))), "cpu_s_per_1000": cpu_s / read_s.size * 1000}


def on_a_grid(read_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """How late each request is, in seconds, if they were planned at even intervals and the earliest was on time."""
    late_s: NDArray[np.float64] = read_s - np.arange(read_s.size) / SCRIPT.rate_rps
    late_s -= late_s.min()
    return late_s


def named(name: str, quantiles: dict[float, float]) -> dict[str, float]:
    return {f"{name}_p{q * 100:g}_s": value for q, value in quantiles.items() if q in {0.5, 0.99, 0.999}}


def children_cpu_s() -> float:
    """CPU seconds of all children that have exited."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


TOOLS: dict[str, Callable[[int], dict[str, float]]] = {"loadproof": loadproof, "k6": k6}


if __name__ == "__main__":
    main()
