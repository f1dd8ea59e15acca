"""How much of one core the reference target needs for 1000 requests/s of the default mix, and for what.

    python -m bench.target_capacity            writes bench/results/target-capacity.json and prints it

Target and generator have a core each. The profile is py-spy's: samples of the target's stacks, by function.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil

from bench.serving import ROOT, machine, write_results

SCENARIO = ROOT / "bench/target-capacity.yaml"
ROUNDS = 3
PROFILE_S = 15
WARM_UP_S = 8


def main() -> None:
    rounds = [one_round(profile=False) for _ in range(ROUNDS)]
    profiled = one_round(profile=True)
    result = {
        **machine(),
        "command": "make bench",
        "rounds": rounds,
        "median_goodput_rps": statistics.median(one["goodput_rps"] for one in rounds),
        "median_target_cpu_ratio": statistics.median(one["target_cpu_ratio"] for one in rounds),
        "widest_frames": profiled["frames"],
    }
    write_results("target-capacity", result)


def one_round(*, profile: bool) -> dict[str, Any]:
    """Start a target, load it, and look at its CPU time in the steady state."""
    with tempfile.TemporaryDirectory() as directory:
        target = subprocess.Popen(
            ["taskset", "-c", "1", sys.executable, "-m", "payments_api", "--port", "0"],
            cwd=ROOT,
            env={**os.environ, "LIMITER": "off"},
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            url = target.stdout.readline().split()[-1]
            run = subprocess.Popen(
                ["taskset", "-c", "0", sys.executable, "-m", "loadproof", "run", SCENARIO, "--out", directory],
                cwd=ROOT,
                env={**os.environ, "TARGET_URL": url},
                stdout=subprocess.DEVNULL,
            )
            time.sleep(WARM_UP_S)
            process = psutil.Process(target.pid)
            cpu_s, began_s = sum(process.cpu_times()[:2]), time.monotonic()
            frames = widest_frames(target.pid, Path(directory)) if profile else time.sleep(PROFILE_S) or []
            cpu_ratio = (sum(process.cpu_times()[:2]) - cpu_s) / (time.monotonic() - began_s)
            run.wait(120)
            (verdict,) = Path(directory).glob("*/verdict.json")
            steady = json.loads(verdict.read_text())
            row = next(row for row in steady["summary"] if row["phase"] == "steady" and row["endpoint"] is None)
        finally:
            target.terminate()
            target.wait(20)
    return {
        "verdict": steady["verdict"],
        "goodput_rps": round(row["goodput_rps"], 1),
        "p99_ms": round(row["response_s"]["p99"]["value"] * 1000, 1),
        "target_cpu_ratio": round(cpu_ratio, 3),
        "frames": frames,
    }


def widest_frames(pid: int, directory: Path, count: int = 5) -> list[dict[str, Any]]:
    """The widest frames at the top of the flame graph: functions by the share of samples that they themselves ran."""
    raw = directory / "profile.raw"
    subprocess.run(
        [
            *(Path(sys.executable).with_name("py-spy"), "record", "--pid", str(pid), "--duration", str(PROFILE_S)),
            *("--rate", "200", "--format", "raw", "--output", raw),
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
