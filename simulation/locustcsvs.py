"""Locust's CSVs with a known truth, in the columns of Locust 2.47."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

PERCENTILES: Final = (0.5, 0.66, 0.75, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999, 0.9999, 1.0)
_NAMES: Final = [f"{100 * q:g}%" for q in PERCENTILES]
_TIMES: Final = ["Median Response Time", "Average Response Time", "Min Response Time", "Max Response Time"]
STATS: Final = [
    "Type", "Name", "Request Count", "Failure Count", *_TIMES,
    "Average Content Size", "Requests/s", "Failures/s", *_NAMES,
]  # fmt: skip
HISTORY: Final = [
    "Timestamp", "User Count", "Type", "Name", "Requests/s", "Failures/s", *_NAMES, "Total Request Count",
    "Total Failure Count", *(f"Total {name}" for name in _TIMES), "Total Average Content Size",
]  # fmt: skip
FAILURES: Final = ["Method", "Name", "Error", "Occurrences"]
EXCEPTIONS: Final = ["Count", "Message", "Traceback", "Nodes"]
START_UNIX_S: Final = 1_795_413_600
_UNKNOWN: Final = ["N/A"] * len(PERCENTILES)
Row = list[Any]


def quantiles_ms(p95_ms: float) -> list[int]:
    """Quantiles on a straight line through p95."""
    return [round(p95_ms * (0.5 + q) / 1.45) for q in PERCENTILES]


def stats_row(name: str, *, method: str = "GET", requests: int = 1000, failures: int = 0, p95_ms: int = 40) -> Row:
    """A row of run_stats.csv over 100 s; without times if there are no requests."""
    quantiles = [*quantiles_ms(p95_ms)[:-1], 2 * p95_ms] if requests else _UNKNOWN
    times = [p95_ms / 2, p95_ms / 2 + 0.25, 1.5, p95_ms * 2.0] if requests else [0, 0.0, 0, 0]
    return [method, name, requests, failures, *times, 20.0, requests / 100, failures / 100, *quantiles]


def measured_row(
    times_ms: Sequence[float], failures: int, took_s: float, *, untimed: int = 0, old: bool = False
) -> Row:
    """An endpoint's row as Locust 2.47, or 1.0 if `old`, writes it for these response times and `untimed` requests.

    Source: locust/stats.py 1.0.3 and 2.47, StatsEntry, calculate_response_time_percentile and median_from_dict.
    """
    keys = sorted(bucket_ms(time_ms) for time_ms in times_ms)
    timed, n = len(keys), len(keys) + untimed

    def quantile(of: int, q: float) -> int:
        place = int(of * q) - (of - timed)
        return keys[min(place, timed - 1)] if place >= 0 else 0

    median = keys[(timed - 1) // 2] if old else quantile(timed, 0.5)
    exact = [min(max(median, min(times_ms)), max(times_ms)), sum(times_ms) / timed]
    exact += [min(times_ms), max(times_ms)]
    rates: list[Any] = [n / took_s, failures / took_s]
    if old:
        exact, rates = [int(value) for value in exact], [f"{rate:.2f}" for rate in rates]
    return ["GET", "/measured", n, failures, *exact, 20.0, *rates, *(quantile(n, q) for q in PERCENTILES)]


def bucket_ms(time_ms: float) -> int:
    """Rounded as Locust does. Source: locust/stats.py 2.47, bucket_response_time."""
    return int(round(time_ms, 0 if time_ms < 100 else -1 if time_ms < 1000 else -2 if time_ms < 10_000 else -3))


def total_row(requests: int = 1000, failures: int = 0, *, p95_ms: int = 40) -> Row:
    """The row of all endpoints together."""
    return stats_row("Aggregated", method="", requests=requests, failures=failures, p95_ms=p95_ms)


@dataclass
class Totals:
    """Totals since the start of a run."""

    requests: int = 0
    failures: int = 0
    mean_ms: float = 0.0
    longest_ms: float = 0.0

    def add(self, *, sent: int, failed: int, mean_ms: float, longest_ms: float) -> None:
        """Add a second."""
        self.requests += sent
        self.failures += failed
        self.mean_ms += (mean_ms - self.mean_ms) * sent / max(self.requests, 1)
        self.longest_ms = max(self.longest_ms, longest_ms)


def history_row(
    second: int, totals: Totals, quantiles: Sequence[int], *, users: int = 10, rate_rps: float = 100.0
) -> Row:
    """A row of run_stats_history.csv for all endpoints together."""
    head = [START_UNIX_S + second, users, "", "Aggregated", rate_rps, 0.0]
    times = [totals.mean_ms, totals.mean_ms, 1.0, totals.longest_ms]
    return [*head, *(quantiles if totals.requests else _UNKNOWN), totals.requests, totals.failures, *times, 20.0]


def csv_text(header: Sequence[str], rows: Iterable[Row], *, end: str = "\r\n") -> str:
    """The file's text as Locust writes it, or with other line ends."""
    file = io.StringIO()
    csv.writer(file, lineterminator=end).writerows([header, *rows])
    return file.getvalue()


def write(prefix: Path, name: str, header: Sequence[str], rows: Iterable[Row]) -> Path:
    """Write one of the files, `PREFIX_name.csv`; returns the prefix."""
    prefix.with_name(f"{prefix.name}_{name}.csv").write_text(csv_text(header, rows), encoding="utf-8", newline="")
    return prefix


def write_stats(prefix: Path, rows: Iterable[Row]) -> Path:
    return write(prefix, "stats", STATS, rows)


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
    """Write a history; `users`, `rate_rps` and the other functions map seconds to values.

    Rate and p95 have relative noise that lasts for seconds. Totals restart at `restart_s`, like a second run in the
    same history.
    """
    random = np.random.default_rng(seed)
    rows, totals, wander = [], Totals(), 0.0
    for second in range(seconds):
        # Noise that lasts: each second keeps most of the previous one's.
        wander = 0.8 * wander + 0.6 * random.normal(0, noise)
        sent = int(random.poisson(max(0.0, rate_rps(second) * (1 + wander))))
        if second == restart_s:
            totals = Totals()
        now_ms = max(1.0, p95_ms(second) * (1 + wander))
        failed = int(random.binomial(sent, error_ratio(second)))
        totals.add(sent=sent, failed=failed, mean_ms=now_ms / 2, longest_ms=2 * now_ms)
        quantiles = [*quantiles_ms(now_ms)[:-1], round(totals.longest_ms if cumulative else 1.5 * now_ms)]
        rows.append(history_row(second, totals, quantiles, users=round(users(second)), rate_rps=float(sent)))
    return write(prefix, "stats_history", HISTORY, rows)
