"""Reads a plain request log (seconds, name, response_ms, status) into traffic; streams it, whatever its size.

A log can't show when requests should have started, what was dropped, or how the generator did.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from loadproof.analysis.foreign.logs.cells import PHASE, LogCells
from loadproof.analysis.foreign.logs.rows import LogRows
from loadproof.analysis.foreign.texts import Texts
from loadproof.analysis.frames.cellsums import histogram
from loadproof.analysis.frames.traffic import PlainTraffic
from loadproof.errors import InputError, Problem
from loadproof.histogram import MIDPOINT_US, buckets_of, value_at_rank
from loadproof.outcome import Outcome
from loadproof.plan.phases import PhaseSpan
from loadproof.units import counted, format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import pandas as pd


_CHUNK_ROWS: Final = 250_000
_LONGEST_S: Final = 400 * 24 * 3600
UNITS_MS: Final = {"s": 1e3, "ms": 1.0, "us": 1e-3}
"""Of response times, in milliseconds."""
_SHORT_S: Final = 0.01
"""A median below this may be one in seconds, of ten seconds at most."""
_FEWEST_SECONDS: Final = 3
_PAUSE_S: Final = 60
_LEAST_PAUSE: Final = 0.1
"""As a share of the log's length."""
_UNUSUAL: Final = 20
"""In multiples of the usual gap between requests."""


@dataclass(frozen=True)
class RequestLog:
    path: Path
    traffic: PlainTraffic
    requests: int
    unreadable: int
    """Lines that were left out."""
    untimed: pd.DataFrame
    """Requests without a time, in the highest bucket; like `traffic.intervals`, which has the failed ones too."""
    lost: Mapping[tuple[int, str], int]
    """Unreadable lines whose second and name are known, counted by both; the name as its bytes, one character each."""
    is_coarse: bool
    """Times are accurate to 1.6 % instead of 0.4 %, because the log is large."""
    written: Mapping[str, str]
    """The names as their bytes, one character each, by the names as shown."""
    notes: tuple[str, ...]
    """How the log was read, one sentence each."""
    may_be_seconds: bool = False
    """Its response times are as short as those of a log in seconds would be, and nobody has said their unit."""
    restarts: int = 0
    """How often its times begin again, as if the logs of several runs had been joined."""


def read_log(path: Path, unit: str | None = None) -> RequestLog:
    """Read a CSV with these columns, among others, in any order; `unit`, one of UNITS_MS, is that of `response_ms`.

    InputError if they are missing, if no line can be read, or if the unit of the times is unclear.
    """
    rows, counted = LogRows(path, UNITS_MS[unit or "ms"]), LogCells()
    for chunk in rows.chunks(_CHUNK_ROWS):
        counted.add(chunk)
    if counted.last_s - counted.start_s > _LONGEST_S:
        remedy = "are some times in milliseconds? Fix the lines that are far from the others"
        raise InputError(Problem(str(path), "it spans more than a year", remedy))
    if problem := rows.times.problem(str(path), rows.requests, counted.start_s, counted.last_s):
        raise InputError(problem)
    texts = Texts(counted.names)
    names = [texts.of(name) for name in counted.names]
    traffic = _traffic(counted.frame(names), names, counted.start_s)
    short_times = () if unit or rows.are_whole else tuple(_short_times(traffic))
    return RequestLog(
        path=path,
        traffic=traffic,
        requests=rows.requests,
        unreadable=rows.unreadable,
        untimed=counted.untimed_frame(names),
        lost=counted.lost,
        is_coarse=counted.is_coarse,
        written=dict(zip(names, counted.names, strict=True)),
        notes=(*_notes(rows), *short_times, *_pauses(traffic), *texts.notes),
        may_be_seconds=bool(short_times),
        restarts=rows.order.restarts,
    )


def _notes(rows: LogRows) -> Iterator[str]:
    if rows.times.unit not in {"seconds", ""}:
        yield f"`seconds` was read as {rows.times.unit}"
    if rows.untimed:
        have, count = ("has", "it counts") if rows.untimed == 1 else ("have", "they count")
        yield f"{counted(rows.untimed, 'request')} {have} no time that can be read; {count} in ratios, not in times"
    if rows.texts_as_status:
        are = counted(rows.texts_as_status, "status is a text, and counts", "statuses are texts, and count")
        yield f"{are} as no answer"
    if restarts := rows.order.restarts:
        times = "once" if restarts == 1 else f"{restarts:,} times"
        yield f"its times begin again {times}: if these are several runs, they were all taken together as one"


def _short_times(traffic: PlainTraffic) -> Iterator[str]:
    """A note if response times may be in seconds, as nginx logs them: as milliseconds they would meet any limit."""
    counts = histogram(traffic.intervals, "response", Outcome.OK)
    n = int(counts.sum())
    if n and (median_s := value_at_rank(counts, (n + 1) // 2) / 1e6) < _SHORT_S:
        times = f"half of the good answers took less than {format_duration(_SHORT_S)} ({format_duration(median_s)})"
        yield f"{times}: say whether `response_ms` is in seconds, with `--response-unit s` or `--response-unit ms`"


def in_seconds(log: RequestLog) -> PlainTraffic:
    """The log's requests with each response time a thousand times as long."""
    cells = log.traffic.intervals
    before = cells["bucket"].to_numpy()
    buckets = buckets_of(1000 * MIDPOINT_US[before] / 1e6).astype(before.dtype)
    return log.traffic.with_intervals(cells.assign(bucket=np.where(cells["series"] == "response", buckets, before)))


def _pauses(traffic: PlainTraffic) -> Iterator[str]:
    """A note on a long pause, between runs or in an unlogged outage: it lowers rates, which cover the whole log."""
    seconds = np.unique(traffic.intervals["second"].to_numpy())
    if len(seconds) < _FEWEST_SECONDS:
        return
    lengths_s = np.diff(seconds)
    longest_s, place = float(lengths_s.max()), int(lengths_s.argmax())
    if longest_s > max(_LEAST_PAUSE * traffic.measured_s, _PAUSE_S, _UNUSUAL * float(np.median(lengths_s))):
        after = format_duration(float(seconds[place]) + 1)
        yield f"no request began for {format_duration(longest_s - 1)} after {after}; rates include that pause"


def _traffic(intervals: pd.DataFrame, names: list[str], start_s: float) -> PlainTraffic:
    """Traffic with a single phase that lasts until the last request."""
    ended_s = int(intervals["second"].max()) + 1
    span = PhaseSpan(name=PHASE, start_s=0, end_s=ended_s, warm_up=False, users=None, rate_rps=None)
    return PlainTraffic(
        phases=(span,),
        endpoints=tuple(names),
        start_unix_s=start_s,
        measured_s=float(ended_s),
        intervals=intervals,
    )
