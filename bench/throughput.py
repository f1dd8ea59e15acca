"""Requests/s that one core sends: loadproof, its and Locust's two HTTP users, k6, hey, wrk; nginx has the other core.

Then the same over TLS, without Locust's slower client.

    python -m bench.throughput [ROUNDS]        writes bench/results/throughput.json

100 connections, no pauses; all except hey and wrk check each answer. The tools take turns, so that a slow minute of the
machine affects all of them. loadproof runs as shipped: its balance user, all checks, all recording. A round that can't
be measured is repeated (bench/rounds.py). The file keeps several runs, because the ratios depend on the machine:
bench/machine.py measures what decides them.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench.machine import probe
from bench.rounds import Rounds, Unmeasured, number_in
from bench.runs import saturated_run
from bench.serving import ROOT, add_run, loadproof_run, machine, nginx, pinned

SECONDS = 8
USERS = 100
SCENARIO = ROOT / "bench/throughput.yaml"
PEERS = ROOT / "bench/peers"
GOALS = {"Locust FastHttpUser": 6.0, "k6": 2.5, "hey": 1.2, "wrk": 0.25}
"""Lowest acceptable ratio of loadproof's rate to theirs."""
HTTPUSER = "loadproof.HttpUser"
HTTPUSER_GOALS = {"Locust HttpUser": 10.0, "Locust FastHttpUser": 3.0}
"""Lowest acceptable ratio of the rate of Locust's users with loadproof's client to theirs."""
TLS_GOALS = {"Locust FastHttpUser": 4.0, "k6": 2.5}


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    rounds = Rounds()
    with nginx() as url:
        plain = rates_of(TOOLS, url, rounds, count)
    with nginx(over_tls=True) as url:
        over_tls = rates_of(
            {f"{name}{_OVER_TLS}": TOOLS[name] for name in TLS_TOOLS if name in TOOLS}, url, rounds, count
        )
    counts = rounds.reported()
    add_run("throughput", result_of(plain, over_tls) | counts)


def rates_of(tools: dict[str, Callable[[str], float]], url: str, rounds: Rounds, count: int) -> dict[str, list[float]]:
    """Requests per second of each tool, round by round."""
    rates: dict[str, list[float]] = {name: [] for name in tools}
    for number in range(count):
        for name, measure in tools.items():
            rate = rounds.measured(name, functools.partial(measure, url))
            if rate is not None:
                rates[name].append(round(rate, 1))
                sys.stderr.write(f"round {number + 1} of {count}: {name}: {rate:,.0f} requests/s\n")
    return rates


def result_of(rates: dict[str, list[float]], over_tls: dict[str, list[float]]) -> dict[str, object]:
    """The run to store, with medians of those tools that could be measured."""
    over_tls = {name.removesuffix(_OVER_TLS): values for name, values in over_tls.items()}
    return {
        **machine(),
        "command": "make bench-throughput",
        "versions": versions(),
        "probe": probe(),
        "rounds_rps": rates,
        "median_rps": medians_of(rates),
        "goals": GOALS,
        "httpuser_goals": HTTPUSER_GOALS,
        "tls_rounds_rps": over_tls,
        "tls_median_rps": medians_of(over_tls),
        "tls_goals": TLS_GOALS,
    }


def medians_of(rates: dict[str, list[float]]) -> dict[str, float]:
    return {name: statistics.median(values) for name, values in rates.items() if values}


def loadproof_rate(url: str) -> float:
    with tempfile.TemporaryDirectory() as out:
        subprocess.run(loadproof_run(SCENARIO, url, out), cwd=ROOT, capture_output=True, check=False, timeout=120)
        return completed_per_s(Path(out))


def completed_per_s(out: Path) -> float:
    """Correct answers per second in the steady phase; Unmeasured if any request failed."""
    rows = saturated_run(out).intervals
    completed = rows[(rows["series"] == "completed") & (rows["phase"] == "steady")]
    if set(completed["outcome"].unique()) != {"ok"}:
        raise Unmeasured("loadproof: answers failed their checks, or none came")
    return float(completed["count"].sum() / SECONDS)


def locust_rate(url: str, client: str) -> float:
    command = [
        *(Path(sys.executable).with_name("locust"), "-f", PEERS / "locust_users.py", "--headless", "--host", url),
        *("-u", USERS, "-r", USERS, "-t", f"{SECONDS + 1}s", "--reset-stats", "--only-summary"),
    ]
    return number_in(output_of(command, BENCH_CLIENT=client), r"RATE ([\d.]+) FAILURES 0\b")


def k6_rate(url: str) -> float:
    text = output_of(["k6", "run", "--vus", USERS, "--duration", f"{SECONDS}s", PEERS / "balance.js"], BASE_URL=url)
    if number_in(text, r"checks_failed\.*: ([\d.]+)%") > 0:
        raise Unmeasured("k6: answers failed their checks")
    return number_in(text, r"http_reqs\.*: \d+ +([\d.]+)/s")


def hey_rate(url: str) -> float:
    text = output_of(["hey", "-z", f"{SECONDS}s", "-c", USERS, "-cpus", 1, f"{url}/balance/acct-000000"])
    return number_in(text, r"Requests/sec:\s+([\d.]+)")


def wrk_rate(url: str) -> float:
    text = output_of(["wrk", "-t1", f"-c{USERS}", f"-d{SECONDS}s", f"{url}/balance/acct-000000"])
    return number_in(text, r"Requests/sec:\s+([\d.]+)")


TOOLS: dict[str, Callable[[str], float]] = {
    "loadproof": loadproof_rate,
    HTTPUSER: lambda url: locust_rate(url, "loadproof"),
    "Locust HttpUser": lambda url: locust_rate(url, "requests"),
    "Locust FastHttpUser": lambda url: locust_rate(url, "fasthttp"),
    "k6": k6_rate,
    "hey": hey_rate,
    "wrk": wrk_rate,
}
TLS_TOOLS = ("loadproof", "Locust FastHttpUser", "k6", "hey", "wrk")
_OVER_TLS = " over TLS"


def output_of(command: list[object], **environment: str) -> str:
    """The output of a tool on the generator's core."""
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
        if shutil.which(command[0]) is None:
            return "?"
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
