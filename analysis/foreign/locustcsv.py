"""The four CSVs of anyone's Locust run to a `LocustRun`: totals by endpoint, the history, failures, exceptions.

Locust 1.0 to 2.47, with and without full history. Times become seconds; a column that isn't there is simply missing.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from analysis.estimates.estimate import Estimate, exact
from analysis.foreign.locustrows import EXCEPTIONS, FAILURES, HISTORY, LAYOUTS, STATS, Layout, RowReader
from loadproof.errors import InputError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PERCENTILE: Final = re.compile(r"(\d{1,3}(?:\.\d{1,6})?)%")
AGGREGATED: Final = "Aggregated"
_SUM: Final = "Sum"
_NO_METHOD: Final = frozenset({"", "None"})
"""What Locust writes as the type of the row of all endpoints; 'None' is that of 1.0."""
_LARGEST: Final = 1e12
"""A number beyond is a damaged one: in ms it would be thirty years."""


@dataclass(frozen=True)
class Entry:
    """One row of Locust's statistics: an endpoint, or all; None where the cell was N/A or is missing.

    The intervals of times are what Locust's rounding leaves open, and nothing else.
    """

    method: str
    name: str
    requests: int
    failures: int
    mean: Estimate | None
    maximum: Estimate | None
    throughput: Estimate | None
    quantiles: Mapping[float, Estimate]

    @property
    def title(self) -> str:
        return f"{self.method} {self.name}".strip()

    @property
    def failure_ratio(self) -> float:
        return self.failures / self.requests if self.requests else math.nan


@dataclass(frozen=True)
class Failure:
    method: str
    name: str
    error: str
    occurrences: int


@dataclass(frozen=True)
class Raised:
    """An exception in the locustfile itself."""

    count: int
    message: str


@dataclass(frozen=True)
class LocustRun:
    prefix: Path
    files: tuple[str, ...]
    """The names of those of the four that were there."""
    entries: tuple[Entry, ...]
    total: Entry | None
    percentiles: tuple[float, ...]
    """Those (0-1) that the totals have a column for."""
    history: pd.DataFrame
    """Of all endpoints: time_s from the first row, users, requests and failures (cumulative), mean_s (cumulative),
    and a column for each quantile in s, keyed by the quantile (0-1)."""
    start_unix_s: float | None
    full_history: bool
    """Rows for each endpoint, not for all together only."""
    cumulative: bool
    """The history's percentiles are since the start, not of the last ten seconds."""
    failures: tuple[Failure, ...]
    exceptions: tuple[Raised, ...]
    damage: tuple[str, ...] = field(default=())
    """What was missing or unreadable, a sentence each."""

    @property
    def name(self) -> str:
        return self.prefix.name

    @property
    def duration_s(self) -> float:
        return float(self.history["time_s"].iloc[-1]) if len(self.history) else 0.0


def load_locust_run(prefix: Path) -> LocustRun:
    """Read what there is of PREFIX_stats.csv and its three neighbours; InputError where there is none of them."""
    readers = {layout: RowReader(_path(prefix, layout), layout) for layout in LAYOUTS}
    if not any(reader.exists for reader in readers.values()):
        names = ", ".join(reader.path.name for reader in readers.values())
        remedy = "give a run directory, or the prefix that Locust's --csv was given"
        raise InputError(Problem(str(prefix), f"no run directory, and none of {names} is there", remedy))
    entries = list(_entries(readers[STATS]))
    history = _History(readers[HISTORY])
    failures, exceptions = _failures(readers[FAILURES]), _exceptions(readers[EXCEPTIONS])
    damage = [sentence for reader in readers.values() for sentence in reader.damage]
    if not entries and len(history.frame):
        entries = list(history.entries())
        damage.append("the totals are those of the history's last row")
    # The history's percentiles are those of the whole run only where they are since the start.
    header = readers[STATS].header or (readers[HISTORY].header if history.cumulative else [])
    total, endpoints = _split(entries)
    if total is not None and total.name == _SUM:
        damage.append("there is no row of all endpoints; it was added up from theirs, without percentiles")
    damage += _disagreement(total, history)
    return LocustRun(
        prefix=prefix,
        files=tuple(reader.path.name for reader in readers.values() if reader.exists),
        entries=endpoints,
        total=total,
        percentiles=tuple(sorted(_quantiles(dict.fromkeys(header, "")))),
        history=history.frame,
        start_unix_s=history.start_unix_s,
        full_history=bool(history.last),
        cumulative=history.cumulative,
        failures=failures,
        exceptions=exceptions,
        damage=tuple(damage),
    )


def _disagreement(total: Entry | None, history: _History) -> Iterator[str]:
    """Locust writes its files out every ten seconds, and not once more at its end. Source: locust/stats.py 2.47."""
    ahead = total.requests - history.requests if total and len(history.frame) else 0
    if ahead > 0:
        yield f"the history lacks the last {ahead:,} requests"
    elif ahead < 0:
        yield f"the stats file lacks the last {-ahead:,} requests"


def prefix_of(path: Path) -> Path:
    """The prefix, also where somebody gives one of the files instead."""
    for layout in LAYOUTS:
        if path.name.endswith(f"_{layout.name}.csv"):
            return path.with_name(path.name.removesuffix(f"_{layout.name}.csv"))
    return path


def rounded(value_ms: float, n: int) -> Estimate:
    """A percentile with the times that Locust rounds to it: two digits, or whole milliseconds below 100 ms.

    Source: locust/stats.py 1.0.3 and 2.47, bucket_response_time.
    """
    down = next(half for edge, half in _HALVES if value_ms <= edge)
    up = next(half for edge, half in _HALVES if value_ms < edge or edge == math.inf)
    return Estimate(value_ms / 1000, max(0.0, value_ms - down) / 1000, (value_ms + up) / 1000, n)


_HALVES: Final = ((100, 0.5), (1_000, 5.0), (10_000, 50.0), (math.inf, 500.0))
"""Up to which value (ms) half of which step is lost."""


def _path(prefix: Path, layout: Layout) -> Path:
    return prefix.with_name(f"{prefix.name}_{layout.name}.csv")


def _entries(reader: RowReader) -> Iterator[Entry]:
    """Each endpoint once: a crash in the middle of a write can leave an old row behind the new one."""
    seen: set[tuple[str, str]] = set()
    for row in reader.rows():
        entry = _entry(row, count="Request Count", failures="Failure Count", prefix="")
        if entry is None:
            reader.skipped += 1
        elif (entry.method, entry.name) not in seen:
            seen.add((entry.method, entry.name))
            yield entry


def _entry(row: Mapping[str, str], *, count: str, failures: str, prefix: str) -> Entry | None:
    requests, failed = _number(row[count]), _number(row.get(failures, "0"))
    if math.isnan(requests) or math.isnan(failed) or not 0 <= failed <= requests:
        return None
    n = int(requests)
    throughput_rps = _number(row.get("Requests/s", ""))
    return Entry(
        method="" if row["Type"] in _NO_METHOD else row["Type"],
        name=row["Name"],
        requests=n,
        failures=int(failed),
        mean=_time(row.get(f"{prefix}Average Response Time", ""), n),
        maximum=_time(row.get(f"{prefix}Max Response Time", ""), n),
        throughput=None if math.isnan(throughput_rps) or not n else exact(throughput_rps, n),
        quantiles={q: rounded(ms, n) for q, ms in _quantiles(row).items() if n and not math.isnan(ms)},
    )


def _time(text: str, n: int) -> Estimate | None:
    """A time in ms; Locust 1.0 cuts its decimals off. Source: locust/stats.py 1.0.3, requests_csv (`%i`)."""
    value_ms = _number(text)
    if math.isnan(value_ms) or n == 0:
        return None
    return Estimate(value_ms / 1000, value_ms / 1000, (value_ms + text.isdecimal()) / 1000, n)


def _number(text: str) -> float:
    """A number from 0 on; nan for N/A and for what is none."""
    try:
        value = float(text)
    except ValueError:
        return math.nan
    return value if 0 <= value < _LARGEST else math.nan


def _quantiles(row: Mapping[str, str]) -> dict[float, float]:
    """Quantile (0-1) to ms."""
    matches = {name: _PERCENTILE.fullmatch(name) for name in row}
    return {round(float(match[1]) / 100, 10): _number(row[name]) for name, match in matches.items() if match}


def _split(entries: list[Entry]) -> tuple[Entry | None, tuple[Entry, ...]]:
    """The row of all endpoints, and the others; without it counts are added up, and percentiles can't be."""
    total = next((entry for entry in entries if entry.name == AGGREGATED and not entry.method), None)
    endpoints = tuple(entry for entry in entries if entry is not total)
    if total is None and endpoints:
        total = together(endpoints, name=_SUM)
    return total, endpoints


def together(entries: tuple[Entry, ...], name: str) -> Entry:
    """Several rows as one; a percentile of several can't be told from theirs."""
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
        throughput=exact(sum(rate.value for rate in rates), n) if used and len(rates) == len(used) else None,
        quantiles=used[0].quantiles if len(used) == len(entries) == 1 else {},
    )


def _weighted(means: list[Estimate]) -> Estimate:
    n = sum(mean.n for mean in means)
    value, low, high = (sum(getattr(mean, part) * mean.n for mean in means) / n for part in ("value", "low", "high"))
    return Estimate(value, low, high, n)


class _History:
    """The history, read row by row: those of all endpoints are kept, of the others the last."""

    def __init__(self, reader: RowReader) -> None:
        self.last: dict[tuple[str, str], dict[str, str]] = {}
        self._total: dict[str, str] | None = None
        rows = list(self._read(reader))
        self.start_unix_s = min((row["time_s"] for row in rows), default=None)
        self.frame = _history_frame(rows)
        self.requests = int(self.frame["requests"].iloc[-1]) if len(self.frame) else 0
        self.cumulative = _is_cumulative(self.frame, full_history=bool(self.last))

    def _read(self, reader: RowReader) -> Iterator[dict[str | float, float]]:
        for row in reader.rows():
            at_s = _number(row["Timestamp"])
            if row["Type"] not in _NO_METHOD or row["Name"] != AGGREGATED:
                self.last[row["Type"], row["Name"]] = row
            elif math.isnan(at_s) or math.isnan(_number(row["Total Request Count"])):
                reader.skipped += 1
            else:
                self._total = row
                yield _history_row(row, at_s)

    def entries(self) -> Iterator[Entry]:
        """Totals as the last rows have them; their percentiles only where these are of the whole run."""
        last = [*self.last.values(), *([self._total] if self._total else [])]
        for row in last:
            kept = {name: cell for name, cell in row.items() if self.cumulative or not _PERCENTILE.fullmatch(name)}
            # The history's requests/s are those of the last seconds.
            kept.pop("Requests/s", None)
            entry = _entry(kept, count="Total Request Count", failures="Total Failure Count", prefix="Total ")
            if entry is not None:
                yield entry


def _history_frame(rows: list[dict[str | float, float]]) -> pd.DataFrame:
    """One row a second, in order of time."""
    if not rows:
        return pd.DataFrame(columns=["time_s", "users", "requests", "failures", "mean_s", "max_s"], dtype=float)
    table = pd.DataFrame(rows).sort_values("time_s", kind="stable").drop_duplicates("time_s", keep="last")
    table["time_s"] -= table["time_s"].iloc[0]
    return table.reset_index(drop=True)


def _history_row(row: Mapping[str, str], at_s: float) -> dict[str | float, float]:
    """Percentiles that are all 0 are no times: nothing ended in the window, or Locust had no window yet.

    Source: locust/stats.py 2.47, get_current_response_time_percentile and _percentile_fields (`or 0`).
    """
    quantiles = _quantiles(row)
    if not any(ms > 0 for ms in quantiles.values()):
        quantiles = dict.fromkeys(quantiles, math.nan)
    return {
        "time_s": at_s,
        "users": _number(row["User Count"]),
        "requests": _number(row["Total Request Count"]),
        "failures": _number(row.get("Total Failure Count", "")),
        "mean_s": _number(row.get("Total Average Response Time", "")) / 1000,
        "max_s": _number(row.get("Total Max Response Time", "")) / 1000,
        **{quantile: ms / 1000 for quantile, ms in quantiles.items()},
    }


def _is_cumulative(history: pd.DataFrame, *, full_history: bool) -> bool:
    """Whether percentiles are since the start: then their 100 % is, in each row, the longest time so far.

    Locust 1.0 to 1.1 write those of the last ten seconds, 1.2 to 2.2.1 those since the start, later ones
    the former with full history and the latter without. Source: locust's commits e0e35dc2 and bdf59435.
    """
    if 1.0 not in history or history["requests"].max() == 0:
        return not full_history
    used = history[(history["requests"] > 0) & history["max_s"].notna()]
    top = used[1.0].fillna(0.0)
    tolerance_s = np.maximum(0.0011, 0.05 * used["max_s"])
    return bool(((top - used["max_s"]).abs() <= tolerance_s).all())


def _failures(reader: RowReader) -> tuple[Failure, ...]:
    """The most frequent first."""
    found = []
    for row in reader.rows():
        occurrences = _number(row["Occurrences"])
        if math.isnan(occurrences):
            reader.skipped += 1
        else:
            found.append(Failure(row["Method"], row["Name"], row["Error"], int(occurrences)))
    return tuple(sorted(found, key=lambda failure: (-failure.occurrences, failure.name, failure.error)))


def _exceptions(reader: RowReader) -> tuple[Raised, ...]:
    found = []
    for row in reader.rows():
        count = _number(row["Count"])
        if math.isnan(count):
            reader.skipped += 1
        else:
            found.append(Raised(int(count), row["Message"]))
    return tuple(sorted(found, key=lambda raised: (-raised.count, raised.message)))
