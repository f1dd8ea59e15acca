"""How much of one core the reference target needs for 1000 requests/s of the default mix, protected or not.

    python -m bench.target_capacity            writes bench/results/target-capacity.json

Target and generator have one core each; Redis runs on the generator's. Configurations take turns. The profile is from
py-spy: stack samples of the target with every protection, counted in Redis, by function.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil

from bench.machine import pinned_here
from bench.protection import counted_in, every_protection
from bench.rounds import Rounds, Unmeasured
from bench.runs import only_run, verdict_of
from bench.serving import GENERATOR_CORE, ROOT, SERVER_CORE, loadproof_run, machine, pinned, write_results
from drills.redisserver import RedisServer
from drills.target import Target
from loadproof.analysis.word import Word

SCENARIO = ROOT / "bench/target-capacity.yaml"
ROUNDS = 3
PROFILE_S = 15
WARM_UP_S = 8


def main() -> None:
    rounds = Rounds()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        with pinned_here(GENERATOR_CORE):
            redis = stack.enter_context(RedisServer())
        configurations = configured(directory, redis.url)
        measured: dict[str, list[dict[str, Any]]] = {title: [] for title in configurations}
        for _ in range(ROUNDS):
            for title, settings in configurations.items():
                turn = rounds.measured(title, functools.partial(one_round, settings, profile=False))
                measured[title] += [turn] if turn is not None else []
        most = configurations[list(configurations)[-1]]
        profiled = rounds.measured("the last under py-spy", functools.partial(one_round, most, profile=True))
    counts = rounds.reported()
    measured = {title: turns for title, turns in measured.items() if turns}
    if not measured:
        raise SystemExit("bench: nothing could be measured; bench/results/target-capacity.json stays as it was")
    frames = profiled["frames"] if profiled else []
    result = {**machine(), "command": "make bench", "rounds": measured, "widest_frames": frames}
    write_results("target-capacity", result | counts)


def configured(directory: Path, redis_url: str) -> dict[str, dict[str, str]]:
    """Settings of each configuration, by its name in the table; the most expensive last."""
    every = every_protection(directory)
    return {
        "none": {"LIMITER": "off"},
        "all, counted in memory": every,
        "all, counted in Redis": every | counted_in(redis_url),
    }


def one_round(settings: dict[str, str], *, profile: bool) -> dict[str, Any]:
    """Start a target, load it, and measure its CPU time in the steady phase."""
    with tempfile.TemporaryDirectory() as directory, target(settings) as started:
        out = Path(directory) / "out"
        run = subprocess.Popen(loadproof_run(SCENARIO, started.url, str(out)), cwd=ROOT, stdout=subprocess.DEVNULL)
        try:
            time.sleep(WARM_UP_S)
            frames, cpu_ratio = watched(psutil.Process(started.process.pid), Path(directory), profile=profile)
        finally:
            run.wait(120)
        verdict = verdict_of(only_run(out))
        if started.metric("limiter_fallbacks_total"):
            raise Unmeasured("Redis was lost meanwhile, so requests were counted in memory")
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
def target(settings: dict[str, str]) -> Iterator[Target]:
    """The reference target on its own core."""
    command = pinned([sys.executable, "-m", "payments_api", "--port", "0"], SERVER_CORE)
    with subprocess.Popen(command, cwd=ROOT, env=os.environ | settings, stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        try:
            yield Target(started.stdout.readline().split()[-1], started)
        finally:
            started.terminate()


def watched(process: psutil.Process, directory: Path, *, profile: bool) -> tuple[list[dict[str, Any]], float]:
    """The widest frames, if requested, and the fraction of a core that the process used."""
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
