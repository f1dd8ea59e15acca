"""Locust's CSVs with a known truth, in the columns of Locust 2.47."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

PERCENTILES = (0.5, 0.66, 0.75, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999, 0.9999, 1.0)
NAMES = [f"{100 * q:g}%" for q in PERCENTILES]
TIMES = ["Median Response Time", "Average Response Time", "Min Response Time", "Max Response Time"]
STATS = [
    "Type", "Name", "Request Count", "Failure Count", *TIMES,
    "Average Content Size", "Requests/s", "Failures/s", *NAMES,
]  # fmt: skip
HISTORY = [
    "Timestamp", "User Count", "Type", "Name", "Requests/s", "Failures/s", *NAMES, "Total Request Count",
    "Total Failure Count", *(f"Total {name}" for name in TIMES), "Total Average Content Size",
]  # fmt: skip
START_UNIX_S = 1_795_413_600


def stats_row(name: str, *, method: str = "GET", requests: int = 1000, failures: int = 0, p95_ms: int = 40) -> list:
    """Percentiles on a line from half of p95 on."""
    quantiles = ["N/A"] * 11 if not requests else [round(p95_ms * (0.5 + q) / 1.45) for q in PERCENTILES]
    if requests:
        quantiles[5] = p95_ms
    times = [p95_ms / 2, p95_ms / 2 + 0.25, 1.5, p95_ms * 2.0] if requests else [0, 0.0, 0, 0]
    return [method, name, requests, failures, *times, 20.0, requests / 100, failures / 100, *quantiles]


def write_stats(prefix: Path, rows: Iterable[list]) -> Path:
    return write(prefix, "stats", STATS, rows)


def write(prefix: Path, name: str, header: list[str], rows: Iterable[list]) -> Path:
    path = prefix.with_name(f"{prefix.name}_{name}.csv")
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return prefix


def write_history(
    prefix: Path,
    *,
    users: Callable[[float], float],
    rate_rps: Callable[[float], float],
    p95_ms: Callable[[float], float] = lambda _: 40.0,
    error_ratio: Callable[[float], float] = lambda _: 0.0,
    seconds: int = 300,
    noise: float = 0.0,
    cumulative: bool = False,
    seed: int = 1,
    restart_s: int | None = None,
) -> Path:
    """What `users`, `rate_rps` and the others make of each second; relative noise, lasting seconds, on rate and p95.

    Totals begin anew at `restart_s`, as a second run in one history has them.
    """
    random = np.random.default_rng(seed)
    rows, requests, failures, total_ms, longest_ms = [], 0, 0, 0.0, 0.0
    wander = 0.0
    for second in range(seconds):
        # Noise that lasts: what one second has, the next has for the most part.
        wander = 0.8 * wander + 0.6 * random.normal(0, noise)
        sent = int(random.poisson(max(0.0, rate_rps(second) * (1 + wander))))
        if second == restart_s:
            requests, failures, total_ms, longest_ms = 0, 0, 0.0, 0.0
        now_ms = max(1.0, p95_ms(second) * (1 + wander))
        requests += sent
        failures += int(random.binomial(sent, error_ratio(second)))
        total_ms += sent * now_ms / 2
        longest_ms = max(longest_ms, 2 * now_ms)
        quantiles = [round(now_ms * (0.5 + q) / 1.45) for q in PERCENTILES]
        quantiles[-1] = round(longest_ms) if cumulative else round(1.5 * now_ms)
        mean_ms = total_ms / max(requests, 1)
        cells = quantiles if requests else ["N/A"] * 11
        head = [START_UNIX_S + second, round(users(second)), "", "Aggregated", float(sent), 0.0]
        rows.append([*head, *cells, requests, failures, mean_ms, mean_ms, 1.0, longest_ms, 20.0])
    return write(prefix, "stats_history", HISTORY, rows)
