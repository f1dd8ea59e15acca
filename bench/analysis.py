"""Time and memory that reports take as runs grow: a ten-minute run, a day, a request log; at 1, 3 and 10 times.

python -m bench.analysis [NAME …]
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection
from pathlib import Path

import numpy as np

from bench.serving import machine, write_results
from loadproof.errors import ExitCode
from loadproof.histogram import buckets_of
from loadproof.plan.phases import plan_phases
from loadproof.rundir import files
from loadproof.rundir.intervals import append_intervals
from loadproof.rundir.manifest import write_manifest
from loadproof.rundir.rows import GeneratorRow, TargetRow
from loadproof.scenario.scenario import Scenario
from simulation.rundirs import manifest

TIMES = (1, 3, 10)
IMPORTS = "import " + ", ".join(
    f"loadproof.analysis.{name}" for name in ("foreign.logs.requestlog", "outputs.tables", "report.run_page")
)
VERDICTS = {ExitCode.PASS, ExitCode.FAIL, ExitCode.INCONCLUSIVE, ExitCode.INVALID}
"""With each of these verdicts a report was written."""


def recorded(path: Path, *, seconds: int, rps: int, endpoints: int) -> list[object]:
    """Write a run directory second by second, as a run does; returns the arguments that report on it."""
    names = [f"endpoint-{number}" for number in range(endpoints)]
    plan = Scenario.model_validate(
        {
            "name": "large",
            "model": "open",
            "client_count": 100,
            "deadline": "1 s",
            "mix": {name: {"share": f"{100 / endpoints} %"} for name in names},
            "phases": [
                {"name": "warm-up", "warm_up": True, "duration": "30 s", "rate": f"{rps} rps"},
                {"name": "steady", "duration": f"{seconds - 30} s", "rate": f"{rps} rps"},
            ],
            "thresholds": [
                {"expect": "p(99) < 300 ms"},
                {"expect": "error_ratio < 1 %"},
                {"expect": "goodput_ratio >= 99 %"},
                {"phase": "steady", "expect": "drift(p(95)) < 50 %"},
                {"phase": "steady", "expect": "p(90) < 200 ms for 10 s"},
            ],
        }
    )
    path.mkdir()
    random = np.random.default_rng(1)
    for begin in range(0, seconds, 60):
        rows = [row for second in range(begin, begin + 60) for row in _second(random, second, rps, names)]
        append_intervals(path / files.INTERVALS, rows)
    files.append_rows(path / files.GENERATOR, [_health(second, rps) for second in range(seconds)])
    memory = "process_resident_memory_bytes"
    files.append_rows(path / files.TARGET, [TargetRow(second, memory, 6e7) for second in range(seconds)])
    write_manifest(path, manifest(plan).model_copy(update={"phases": plan_phases(plan)}))
    return ["report", path]


def _second(random: np.random.Generator, second: int, rps: int, names: list[str]) -> list[tuple[object, ...]]:
    phase = "warm-up" if second < 30 else "steady"
    rows: list[tuple[object, ...]] = []
    for name in names:
        n = int(random.poisson(rps / len(names)))
        key = (second, phase, name)
        for series, median_s in (("response", 0.02), ("service", 0.019), ("lag", 0.0002), ("first_byte", 0.018)):
            buckets, counts = np.unique(buckets_of(random.lognormal(np.log(median_s), 0.3, n)), return_counts=True)
            rows += [(*key, "ok", series, *cell) for cell in zip(buckets.tolist(), counts.tolist(), strict=True)]
        rows += [(*key, "ok", series, 0, n) for series in ("good", "completed") if n]
    return rows


def _health(second: int, rps: int) -> GeneratorRow:
    return GeneratorRow(
        second=second,
        worker="local",
        cpu_ratio=0.3,
        steal_ratio=0,
        loop_delay_s=0.001,
        lag_p99_s=0.001,
        users=0,
        in_flight=20,
        sent=rps,
        dropped=0,
        abandoned=0,
    )


def logged(path: Path, *, rows: int) -> list[object]:
    """Write a log of requests with 20 names over an hour."""
    random = np.random.default_rng(1)
    with path.open("w") as file:
        file.write("seconds,name,response_ms,status\n")
        for begin in range(0, rows, 100_000):
            n = min(100_000, rows - begin)
            at_s = 1_700_000_000 + (begin + np.arange(n)) * 3600 / rows
            ms = random.lognormal(3, 0.5, n)
            status = np.where(random.uniform(size=n) < 0.01, 500, 200)
            cells = zip(at_s.tolist(), random.integers(0, 20, n).tolist(), ms.tolist(), status.tolist(), strict=True)
            file.write("".join([f"{at:.3f},/api/{name},{took:.2f},{code}\n" for at, name, took, code in cells]))
    return ["report", "--log", path]


CASES: dict[str, tuple[Callable[[Path, int], list[object]], tuple[float, float]]] = {
    "ten minutes at 1000 rps": (
        lambda path, times: recorded(path, seconds=600, rps=1000 * times, endpoints=4),
        (3, 300),
    ),
    "a tenth of a day, 20 endpoints": (
        lambda path, times: recorded(path, seconds=8640 * times, rps=20, endpoints=20),
        (60, 1000),
    ),
    "a log of a million requests": (lambda path, times: logged(path, rows=1_000_000 * times), (20, 500)),
}
"""How to create each case at a given size, and its goals in s and MB: the first at 1 times, the others at 10."""


def measured(arguments: list[object]) -> tuple[float, float]:
    """Seconds, without Python's imports, and peak memory in MB of one report."""
    took_s, _ = _child([sys.executable, "-c", IMPORTS], good={0})
    whole_s, peak_mb = _child([sys.executable, "-m", "loadproof", *map(str, arguments)], good=VERDICTS)
    return whole_s - took_s, peak_mb


def _child(command: list[str], *, good: Collection[int]) -> tuple[float, float]:
    begin = time.perf_counter()
    watched = [sys.executable, "-c", _WATCH, *command]
    done = subprocess.run(watched, capture_output=True, text=True, check=False)
    took_s = time.perf_counter() - begin
    peak_kb, code = done.stderr.splitlines()[-1].split()
    if int(code) not in good:
        raise SystemExit(f"bench: {command[1:4]} ended with {code}: {done.stderr[-500:]}")
    return took_s, float(peak_kb) / 1024


_WATCH = f"""
import {resource.__name__}, subprocess, sys
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, code, file=sys.stderr)
"""


def main(names: list[str]) -> None:
    cases = []
    for name in names or CASES:
        make, (goal_s, goal_mb) = CASES[name]
        for times in TIMES:
            with tempfile.TemporaryDirectory() as directory:
                took_s, peak_mb = measured(make(Path(directory) / "run", times))
            cases.append({"case": name, "times": times, "took_s": took_s, "peak_mb": peak_mb})
            sys.stderr.write(f"{name} x {times}: {took_s:.1f} s, {peak_mb:.0f} MB\n")
        cases[-1 if name != next(iter(CASES)) else -len(TIMES)]["goal"] = f"{goal_s} s, {goal_mb} MB"
        # After each case, so that a later one that fails loses none.
        write_results("analysis", {**machine(), "command": "make bench-analysis", "cases": cases})


if __name__ == "__main__":
    main(sys.argv[1:])
