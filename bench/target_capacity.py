"""How much of one core the reference target needs for 1000 requests/s of the default mix, and for what.

    python -m bench.target_capacity            writes bench/results/target-capacity.json

Target and generator have one core each. The profile is py-spy's: samples of the target's stacks, by function.
"""

from __future__ import annotations

import functools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from bench.rounds import Rounds, Unmeasured
from bench.runs import only_run, verdict_of
from bench.serving import ROOT, SERVER_CORE, loadproof_run, machine, pinned, write_results
from loadproof.analysis.judge.judgement import Word

SCENARIO = ROOT / "bench/target-capacity.yaml"
ROUNDS = 3
PROFILE_S = 15
WARM_UP_S = 8


def main() -> None:
    rounds = Rounds()
    turns = [rounds.measured("loadproof", functools.partial(one_round, profile=False)) for _ in range(ROUNDS)]
    measured = [turn for turn in turns if turn is not None]
    profiled = rounds.measured("loadproof under py-spy", functools.partial(one_round, profile=True))
    counts = rounds.reported()
    if not measured:
        raise SystemExit("bench: nothing measured; bench/results/target-capacity.json stays as it was")
    result = {
        **machine(),
        "command": "make bench",
        "rounds": measured,
        "median_goodput_rps": statistics.median(one["goodput_rps"] for one in measured),
        "median_target_cpu_ratio": statistics.median(one["target_cpu_ratio"] for one in measured),
        "widest_frames": profiled["frames"] if profiled else [],
    }
    write_results("target-capacity", result | counts)


def one_round(*, profile: bool) -> dict[str, Any]:
    """Start a target, load it, and measure its CPU time in the steady state."""
    with tempfile.TemporaryDirectory() as directory, target() as (process, url):
        out = Path(directory) / "out"
        run = subprocess.Popen(loadproof_run(SCENARIO, url, str(out)), cwd=ROOT, stdout=subprocess.DEVNULL)
        try:
            time.sleep(WARM_UP_S)
            frames, cpu_ratio = watched(process, Path(directory), profile=profile)
        finally:
            run.wait(120)
        verdict = verdict_of(only_run(out))
    if verdict["verdict"] == Word.INVALID:
        raise Unmeasured(verdict["reason"])
    row = next(row for row in verdict["summary"] if row["phase"] == "steady" and row["endpoint"] is None)
    return {
        "verdict": verdict["verdict"],
        "goodput_rps": round(row["goodput_rps"], 1),
        "p99_ms": round(row["response_s"]["p99"]["value"] * 1000, 1),
        "target_cpu_ratio": round(cpu_ratio, 3),
        "frames": frames,
    }


@contextmanager
def target() -> Iterator[tuple[psutil.Process, str]]:
    """The reference target without limits, on its own core, and its URL."""
    command = pinned([sys.executable, "-m", "payments_api", "--port", "0"], SERVER_CORE)
    environment = {**os.environ, "LIMITER": "off"}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        try:
            yield psutil.Process(started.pid), started.stdout.readline().split()[-1]
        finally:
            started.terminate()


def watched(process: psutil.Process, directory: Path, *, profile: bool) -> tuple[list[dict[str, Any]], float]:
    """The widest frames, if requested, and the fraction of a core that the process used meanwhile."""
    cpu_s, began_s = sum(process.cpu_times()[:2]), time.monotonic()
    frames: list[dict[str, Any]] = []
    if profile:
        frames = widest_frames(process.pid, directory)
    else:
        time.sleep(PROFILE_S)
    return frames, (sum(process.cpu_times()[:2]) - cpu_s) / (time.monotonic() - began_s)


def widest_frames(pid: int, directory: Path, count: int = 5) -> list[dict[str, Any]]:
    """The widest frames at the top of the flame graph: functions by their own share of the samples."""
    raw = directory / "profile.raw"
    subprocess.run(
        [
            *(str(Path(sys.executable).with_name("py-spy")), "record", "--pid", str(pid), "--duration", str(PROFILE_S)),
            *("--rate", "200", "--format", "raw", "--output", str(raw)),
        ],
        check=True,
        capture_output=True,
    )
    leaves: Counter[str] = Counter()
    for line in raw.read_text().splitlines():
        stack, _, samples = line.rpartition(" ")
        leaves[stack.rpartition(";")[2].rpartition(":")[0] + ")"] += int(samples)
    total = leaves.total()
    return [{"frame": frame, "share": round(samples / total, 3)} for frame, samples in leaves.most_common(count)]


if __name__ == "__main__":
    main()
