"""Turns a row of Locust's statistics into an `Entry`: counts, and times with the interval from Locust's rounding."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from loadproof.analysis.estimates.estimate import Estimate, reported

if TYPE_CHECKING:
    from collections.abc import Mapping

PERCENTILE: Final = re.compile(r"(\d{1,3}(?:\.\d{1,6})?)%", re.ASCII)
AGGREGATED: Final = "Aggregated"
SUM: Final = "Sum"
NO_METHOD: Final = frozenset({"", "None"})
"""The type that Locust writes for the row of all endpoints; version 1.0 writes 'None'."""
_LARGEST: Final = 1e12
"""A larger number is damage: in ms it would be thirty years."""


@dataclass(frozen=True)
class Entry:
    """One row of Locust's statistics: an endpoint, or all together. None stands for a cell that is N/A or missing.

    The intervals of times only cover Locust's rounding.
    """

    method: str
    name: str
    requests: int
    failures: int
    mean: Estimate | None
    maximum: Estimate | None
    throughput: Estimate | None
    quantiles: Mapping[float, Estimate]
    written: str = ""
    """The name as bytes, one character each."""
    contradictions: tuple[str, ...] = ()
    """Contradictions between its own columns, in words."""

    @property
    def title(self) -> str:
        return f"{self.method} {self.name}".strip()

    @property
    def failure_ratio(self) -> float:
        return self.failures / self.requests if self.requests else math.nan


def rounded(value_ms: float, n: int) -> Estimate:
    """A percentile with the range that Locust rounds to it: two digits, or whole milliseconds below 100 ms.

    Source: locust/stats.py 1.0.3 and 2.47, bucket_response_time.
    """
    down = next(half for edge, half in _HALVES if value_ms <= edge)
    up = next(half for edge, half in _HALVES if value_ms < edge or edge == math.inf)
    return reported(value_ms / 1000, n, low=max(0.0, value_ms - down) / 1000, high=(value_ms + up) / 1000)


_HALVES: Final = ((100, 0.5), (1_000, 5.0), (10_000, 50.0), (math.inf, 500.0))
"""Upper bounds of values (ms), and half the rounding step up to each."""


def entry_of(row: Mapping[str, str], *, count: str, failures: str, prefix: str) -> Entry | None:
    requests, failed = number_of(row[count]), number_of(row.get(failures, "0"))
    if math.isnan(requests) or math.isnan(failed) or not 0 <= failed <= requests:
        return None
    n = int(requests)
    throughput_rps = number_of(row.get("Requests/s", ""))
    return Entry(
        method="" if row["Type"] in NO_METHOD else row["Type"],
        name=row["Name"],
        requests=n,
        failures=int(failed),
        mean=_time(row.get(f"{prefix}Average Response Time", ""), n),
        maximum=_time(row.get(f"{prefix}Max Response Time", ""), n),
        throughput=None if math.isnan(throughput_rps) or not n else reported(throughput_rps, n),
        quantiles={q: rounded(ms, n) for q, ms in quantiles_of(row).items() if n and not math.isnan(ms)},
    )


def _time(text: str, n: int) -> Estimate | None:
    """A time in ms; Locust 1.0 truncates its decimals. Source: locust/stats.py 1.0.3, requests_csv (`%i`)."""
    value_ms = number_of(text)
    if math.isnan(value_ms) or n == 0:
        return None
    return reported(value_ms / 1000, n, high=(value_ms + text.isdecimal()) / 1000)


def number_of(text: str) -> float:
    """A number of at least 0; nan for N/A and anything else."""
    try:
        value = float(text)
    except ValueError:
        return math.nan
    return value if 0 <= value < _LARGEST else math.nan


def quantiles_of(row: Mapping[str, str]) -> dict[float, float]:
    """Times in ms by quantile (0-1); nan for N/A."""
    columns = ((_quantile_of(name), cell) for name, cell in row.items())
    return {quantile: number_of(cell) for quantile, cell in columns if quantile is not None}


@lru_cache(maxsize=1_000)
def _quantile_of(column: str) -> float | None:
    """Cached, because every row of a history has the same columns."""
    match = PERCENTILE.fullmatch(column)
    return round(float(match[1]) / 100, 10) if match else None


def is_older(entry: Entry, than: Entry) -> bool:
    """Whether it may be an earlier state of the same counters, which only grow, or an equal one."""
    longest_s, limit_s = (row.maximum.value if row.maximum else 0.0 for row in (entry, than))
    return entry.requests <= than.requests and entry.failures <= than.failures and longest_s <= limit_s


def split(entries: list[Entry], *, adds_up: bool = True) -> tuple[Entry | None, tuple[Entry, ...]]:
    """The row of all endpoints, and the others; if it is missing, counts are added up, without percentiles."""
    total = next((entry for entry in entries if entry.name == AGGREGATED and not entry.method), None)
    endpoints = tuple(entry for entry in entries if entry is not total)
    if total is None and endpoints and adds_up:
        total = replace(together(endpoints, name=SUM), quantiles={})
    return total, endpoints


def together(entries: tuple[Entry, ...], name: str) -> Entry:
    """Several rows as one; its percentiles are missing, because they can't be derived from several rows."""
    used = [entry for entry in entries if entry.requests]
    n = sum(entry.requests for entry in used)
    means = [entry.mean for entry in used if entry.mean]
    maxima = [entry.maximum for entry in used if entry.maximum]
    rates = [entry.throughput for entry in used if entry.throughput]
    return Entry(
        method="",
        name=name,
        requests=n,
        failures=sum(entry.failures for entry in used),
        mean=_weighted(means) if used and len(means) == len(used) else None,
        maximum=max(maxima, key=lambda estimate: estimate.value) if used and len(maxima) == len(used) else None,
        throughput=reported(sum(rate.value for rate in rates), n) if used and len(rates) == len(used) else None,
        quantiles=used[0].quantiles if len(used) == len(entries) == 1 else {},
    )


def _weighted(means: list[Estimate]) -> Estimate:
    n = sum(mean.n for mean in means)
    value, low, high = (sum(getattr(mean, part) * mean.n for mean in means) / n for part in ("value", "low", "high"))
    return reported(value, n, low=low, high=high)
