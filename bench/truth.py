"""How accurate each tool's numbers are, compared with the log of the server that it loaded.

    python -m bench.truth [ROUNDS]        writes bench/results/truth.json

loadproof/run/truthserver.py, on a core of its own, delays its answers by a seeded script. There are two truths:

- service time: the server's own write − read of the requests that this tool sent;
- response time: write − intended start, of requests that come at the planned rate whatever the server does. Only the
  open model has intended starts: loadproof's plan gives them, and its n-th arrival is the n-th request that was read.

A tool reports one set of percentiles, loadproof one of each kind; users might take it for either truth.
"""

from __future__ import annotations

import csv
import functools
import json
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.rounds import Rounds, Unmeasured, reading
from bench.runs import measured_run
from bench.serving import ROOT, SERVER_CORE, loadproof_run, machine, pinned, write_results
from bench.throughput import PEERS, output_of, versions
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
TOLERANCES = (0.01, 0.0003)
"""For a quantile, relative and in s; the larger one counts."""

Quantiles = dict[float, float]
"""In s."""


@dataclass(frozen=True)
class Script:
    name: str
    rate_rps: int
    seconds: int
    gaps: tuple[float, ...] = ()
    """Between modes; quantiles within 2 % of them are left out."""


SCRIPTS = (
    Script("lognormal", 400, 10),
    Script("bimodal", 400, 10, gaps=(0.8,)),
    Script("stops", 100, 22, gaps=(20 / 22,)),
)


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
    """The same as service for tools that only report one time."""
    intended_s: NDArray[np.float64] | None = None
    """When each request was planned, in order, by the wall clock; only for loadproof."""


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    rounds = Rounds()
    errors: list[dict[str, Any]] = []
    for number in range(count):
        for script in SCRIPTS:
            errors += one_round(script, number, rounds)
    counts = rounds.reported()
    write_results(
        "truth",
        {
            **machine(),
            "command": "make bench-truth",
            "versions": versions(),
            "rounds": count,
            **counts,
            "scripts": {one.name: {"rate_rps": one.rate_rps, "seconds": one.seconds} for one in SCRIPTS},
            "tolerances": {"relative": TOLERANCES[0], "absolute_s": TOLERANCES[1]},
            "errors": summarised(errors),
        },
    )


def one_round(script: Script, seed: int, rounds: Rounds) -> Iterator[dict[str, Any]]:
    """The errors of each tool in turn.

    loadproof comes first, because its plan shows what users at the planned rate experience.
    """
    users_see: Quantiles = {}
    for tool, measure in TOOLS.items():
        turn = rounds.measured(tool, functools.partial(one_turn, measure, script, seed))
        if turn is None:
            continue
        reported, read_s, written_s = turn
        if reported.intended_s is not None:
            users_see = quantiles_of(written_s - reported.intended_s)
        sys.stderr.write(f"{script.name} {seed}: {tool}: {read_s.size} requests\n")
        for kind, said, truth in (
            ("service", reported.service, quantiles_of(written_s - read_s)),
            ("response", reported.response, users_see),
        ):
            # Without loadproof's plan nobody knows what users experience.
            for quantile in truth:
                if all(abs(quantile - gap) > 0.02 for gap in script.gaps):
                    yield {
                        "script": script.name,
                        "tool": tool,
                        "kind": kind,
                        "quantile": quantile,
                        "true_s": truth[quantile],
                        "reported_s": said[quantile],
                    }


def one_turn(
    measure: Callable[[Load], Reported], script: Script, seed: int
) -> tuple[Reported, NDArray[np.float64], NDArray[np.float64]]:
    """What a tool reported, and when the server read and wrote each of its requests, in the order of reading."""
    with tempfile.TemporaryDirectory() as directory, truth_server(script, seed, Path(directory)) as (url, log):
        reported = measure(Load(script, url, Path(directory)))
        times = log()
    intended = times.shape[0] if reported.intended_s is None else reported.intended_s.size
    if intended != times.shape[0] or not intended:
        raise Unmeasured(f"{intended} requests were planned, {times.shape[0]} read")
    read_s, written_s = times[np.argsort(times[:, 0], kind="stable")].T
    return reported, read_s, written_s


def summarised(errors: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Medians over the rounds, of the error and of its share of the tolerance."""
    keys = ("script", "kind", "tool", "quantile")
    cells: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for error in errors:
        cells.setdefault(tuple(error[key] for key in keys), []).append(error)
    return [
        dict(zip(keys, cell, strict=True))
        | {
            "true_s": round(statistics.median(error["true_s"] for error in ones), 6),
            "reported_s": round(statistics.median(error["reported_s"] for error in ones), 6),
            "error_s": round(statistics.median(error["reported_s"] - error["true_s"] for error in ones), 6),
            "of_tolerance": round(statistics.median(of_tolerance(error) for error in ones), 2),
        }
        for cell, ones in cells.items()
    ]


def of_tolerance(one: dict[str, Any]) -> float:
    relative, absolute_s = TOLERANCES
    return float(abs(one["reported_s"] - one["true_s"]) / max(relative * one["true_s"], absolute_s))


def quantiles_of(values_s: NDArray[np.float64]) -> Quantiles:
    ordered = np.sort(values_s)
    return {q: float(ordered[max(0, int(np.ceil(q * ordered.size)) - 1)]) for q in QUANTILES}


@contextmanager
def truth_server(script: Script, seed: int, directory: Path) -> Iterator[tuple[str, Callable[[], NDArray[np.float64]]]]:
    """Its URL, and a function that stops it and returns its log."""
    path = directory / "log.npy"
    command = pinned([sys.executable, "-m", "loadproof.run.truthserver", script.name, seed, path], SERVER_CORE)
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None

        def ended() -> NDArray[np.float64]:
            server.terminate()
            server.wait(10)
            log: NDArray[np.float64] = np.load(path)
            return log

        try:
            yield f"http://127.0.0.1:{int(server.stdout.readline())}", ended
        finally:
            server.kill()


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
    """When each request was planned, in order, by the wall clock."""
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
    told = {float(p): float(ms) * 1e-3 for p, ms in re.findall(r"PERCENTILE ([\d.]+) ([\d.]+)", text)}
    with reading(text):
        return _known_once({q: told[round(q * 100, 3)] for q in QUANTILES})


def _known_once(quantiles: Quantiles) -> Reported:
    return Reported(quantiles, quantiles)


TOOLS: dict[str, Callable[[Load], Reported]] = {
    "loadproof": loadproof,
    "k6": k6,
    "Locust HttpUser": locust,
    "hey": hey,
    "wrk": wrk,
}


if __name__ == "__main__":
    main()
