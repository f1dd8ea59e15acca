"""How many requests one core makes: loadproof, Locust's two clients, k6, hey and wrk, against nginx on the other core.

    python -m bench.throughput [ROUNDS]        writes bench/results/throughput.json

100 connections, no pauses; all but hey and wrk check each answer. The tools take turns, so that a slow minute of the
machine is everybody's. loadproof runs as it is shipped: its balance user, all checks, all recording.
"""

from __future__ import annotations

import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from analysis.frames.run import load_run
from bench.serving import ROOT, loadproof_run, machine, nginx, pinned, write_results

SECONDS = 8
USERS = 100
SCENARIO = ROOT / "bench/throughput.yaml"
PEERS = ROOT / "bench/peers"
GOALS = {"Locust FastHttpUser": 6.0, "k6": 2.5, "hey": 1.2, "wrk": 0.25}
"""loadproof's rate over theirs, at least."""


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    rates: dict[str, list[float]] = {name: [] for name in TOOLS}
    with nginx() as url:
        for number in range(rounds):
            for name, measure in TOOLS.items():
                rates[name].append(round(measure(url), 1))
                sys.stderr.write(f"round {number + 1} of {rounds}: {name}: {rates[name][-1]:,.0f} requests/s\n")
    medians = {name: statistics.median(values) for name, values in rates.items()}
    ours = medians["loadproof"]
    write_results(
        "throughput",
        {
            **machine(),
            "command": "make bench-throughput",
            "versions": versions(),
            "rounds_rps": rates,
            "median_rps": medians,
            "loadproof_over": {name: round(ours / median, 3) for name, median in medians.items()},
            "goals": GOALS,
        },
    )


def loadproof_rate(url: str) -> float:
    with tempfile.TemporaryDirectory() as out:
        subprocess.run(loadproof_run(SCENARIO, url, out), cwd=ROOT, capture_output=True, check=False, timeout=120)
        return completed_per_s(out)


def completed_per_s(out: str) -> float:
    """Correct answers per second in the steady phase; none may have failed."""
    (path,) = Path(out).iterdir()
    rows = load_run(path).intervals
    completed = rows[(rows["series"] == "completed") & (rows["phase"] == "steady")]
    assert set(completed["outcome"].unique()) == {"ok"}, "answers failed their checks"
    return float(completed["count"].sum() / SECONDS)


def locust_rate(url: str, client: str) -> float:
    command = [
        *(Path(sys.executable).with_name("locust"), "-f", PEERS / "locust_users.py", "--headless", "--host", url),
        *("-u", USERS, "-r", USERS, "-t", f"{SECONDS + 1}s", "--reset-stats", "--only-summary"),
    ]
    text = output_of(command, BENCH_CLIENT=client)
    match = re.search(r"RATE ([\d.]+) FAILURES 0", text)
    assert match is not None, text[-500:]
    return float(match[1])


def k6_rate(url: str) -> float:
    text = output_of(["k6", "run", "--vus", USERS, "--duration", f"{SECONDS}s", PEERS / "balance.js"], BASE_URL=url)
    assert re.search(r"checks_failed\.*: 0\.00%", text), text[-500:]
    return float(re.search(r"http_reqs\.*: \d+ +([\d.]+)/s", text)[1])


def hey_rate(url: str) -> float:
    text = output_of(["hey", "-z", f"{SECONDS}s", "-c", USERS, "-cpus", 1, f"{url}/balance/acct-000000"])
    return float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1])


def wrk_rate(url: str) -> float:
    text = output_of(["wrk", "-t1", f"-c{USERS}", f"-d{SECONDS}s", f"{url}/balance/acct-000000"])
    return float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1])


TOOLS: dict[str, Callable[[str], float]] = {
    "loadproof": loadproof_rate,
    "Locust HttpUser": lambda url: locust_rate(url, "requests"),
    "Locust FastHttpUser": lambda url: locust_rate(url, "fasthttp"),
    "k6": k6_rate,
    "hey": hey_rate,
    "wrk": wrk_rate,
}


def output_of(command: list[object], **environment: str) -> str:
    """Of a tool on the generator's core."""
    program = str(command[0])
    if shutil.which(program) is None:
        raise SystemExit(f"bench: no {program}; `make bench-throughput` says where it comes from")
    done = subprocess.run(
        pinned(command),
        env={**os.environ, "GOMAXPROCS": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return done.stdout + done.stderr


def versions() -> dict[str, str]:
    def first(command: list[str], pattern: str) -> str:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        match = re.search(pattern, done.stdout + done.stderr)
        return match[0] if match else "?"

    return {
        "locust": first([str(Path(sys.executable).with_name("locust")), "--version"], r"\d+\.\d+\.\d+"),
        "k6": first(["k6", "version"], r"\d+\.\d+\.\d+"),
        "wrk": first(["wrk", "--version"], r"\d+\.\d+\.\d+"),
        "nginx": first(["nginx", "-v"], r"\d+\.\d+\.\d+"),
    }


if __name__ == "__main__":
    main()
