"""The throughput of two processes compared with one, and the memory of an idle client.

python -m bench.clients        writes bench/results/clients.json
"""

from __future__ import annotations

import functools
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import yaml

from bench.rounds import Rounds, Unmeasured
from bench.runs import process_of, saturated_run
from bench.serving import ROOT, add_run, loadproof_run, machine, nginx
from bench.throughput import SCENARIO

ROUNDS = 3
CREWS = {
    "one process, 100 users": {"workers": 1, "users": 100},
    "two processes, 100 users each": {"workers": 2, "users": 200},
    "two processes, 50 users each": {"workers": 2, "users": 100},
}
IDLE_CLIENTS = 10_000


def main() -> None:
    rounds = Rounds()
    measured: dict[str, list[float]] = {name: [] for name in CREWS}
    with nginx() as url:
        for name in [*CREWS] * ROUNDS:
            per_cpu_s = rounds.measured(name, functools.partial(requests_per_cpu_s, url, **CREWS[name]))
            if per_cpu_s is not None:
                measured[name].append(per_cpu_s)
        memory_kb = rounds.measured("idle clients", functools.partial(memory_per_idle_client_kb, url))
    counts = rounds.reported()
    add_run(
        "clients",
        {
            **machine(),
            "command": "make bench",
            "requests_per_generator_cpu_s": measured,
            "idle_clients": IDLE_CLIENTS,
            "memory_per_idle_client_kb": memory_kb,
            **counts,
        },
    )


def requests_per_cpu_s(url: str, *, workers: int, users: int) -> float:
    """Requests per CPU-second of all load-generating processes, including the master; `users` is the total."""
    scenario: dict[str, Any] = yaml.safe_load(SCENARIO.read_text())
    for phase in scenario["phases"]:
        phase["users"] = users
    with tempfile.TemporaryDirectory() as directory:
        file, out = Path(directory) / "crew.yaml", Path(directory) / "out"
        file.write_text(yaml.safe_dump(scenario))
        command = loadproof_run(file, url, str(out), "--workers", workers)
        run = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
        samples: list[tuple[float, float]] = []
        watch = threading.Thread(target=_sample_cpu, args=(run, samples))
        watch.start()
        run.wait(120)
        watch.join()
        loaded = saturated_run(out)
    rows = loaded.intervals[loaded.intervals["series"] == "completed"]
    # Whole seconds within the steady phase.
    first, last = (loaded.manifest.start_unix_s + second for second in (3, 9))
    spent_s = _cpu_at(samples, last) - _cpu_at(samples, first)
    return round(float(rows.loc[rows["second"].between(3, 8), "count"].sum() / spent_s), 1)


def _sample_cpu(run: subprocess.Popen[bytes], samples: list[tuple[float, float]]) -> None:
    """Sample the CPU seconds used by Locust's processes so far, ten times per second."""
    while run.poll() is None:
        total_s = 0.0
        for process in psutil.Process(run.pid).children(recursive=True):
            try:
                if "loadproof.generator.locust" in process.cmdline():
                    total_s += sum(process.cpu_times()[:2])
            except psutil.Error:
                continue
        samples.append((time.time(), total_s))
        time.sleep(0.1)


def _cpu_at(samples: list[tuple[float, float]], unix_s: float) -> float:
    """CPU seconds used by then, interpolated between two samples."""
    before = max(sample for sample in samples if sample[0] <= unix_s)
    after = min(sample for sample in samples if sample[0] > unix_s)
    return before[1] + (after[1] - before[1]) * (unix_s - before[0]) / (after[0] - before[0])


def memory_per_idle_client_kb(url: str) -> float:
    """Unshared memory in KB per additional user, who has one connection, from runs with many and with few users."""
    few = 100
    return round((_memory_kb(url, IDLE_CLIENTS) - _memory_kb(url, few)) / (IDLE_CLIENTS - few), 1)


def _memory_kb(url: str, users: int) -> float:
    scenario: dict[str, Any] = yaml.safe_load(SCENARIO.read_text())
    scenario["mix"] = {"balance": {"share": "100 %", "every": "20 s"}}
    scenario["phases"] = [{"name": "steady", "duration": "30 s", "users": users}]
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "idle.yaml"
        file.write_text(yaml.safe_dump(scenario))
        run = subprocess.Popen(loadproof_run(file, url, f"{directory}/out"), cwd=ROOT, stdout=subprocess.DEVNULL)
        try:
            # By then all users have sent once and most are idle.
            time.sleep(26)
            generator = process_of(run.pid, "loadproof.generator.locust")
            connections = len(generator.net_connections("tcp"))
            if connections < users:
                raise Unmeasured(f"{connections} of {users} connections")
            return float(generator.memory_full_info().uss / 1000)
        finally:
            run.terminate()
            run.wait(60)


if __name__ == "__main__":
    main()
