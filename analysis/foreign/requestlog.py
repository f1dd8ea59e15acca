"""Reads a plain request log (seconds, name, response_ms, status) into traffic; streamed, whatever its size.

It can't tell when requests should have started, what was dropped, or how the generator did, and isn't asked.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import pandas as pd

from loadproof.analysis.foreign.logcells import PHASE, LogCells
from loadproof.analysis.foreign.logrows import LogRows
from loadproof.analysis.foreign.texts import Texts
from loadproof.errors import InputError, Problem
from loadproof.plan.phases import PhaseSpan
from loadproof.rundir.rows import EventRow

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


_CHUNK_ROWS: Final = 250_000
_LONGEST_S: Final = 400 * 24 * 3600


@dataclass(frozen=True, eq=False, kw_only=True)
class LogTraffic:
    """A Traffic with a single phase, the whole log, and an endpoint for each name."""

    phases: tuple[PhaseSpan, ...]
    endpoints: tuple[str, ...]
    start_unix_s: float
    """The log's first whole second, by its own clock."""
    measured_s: float
    intervals: pd.DataFrame
    events: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(EventRow._fields)))
    """None: a log only has requests."""

    def with_intervals(self, intervals: pd.DataFrame) -> LogTraffic:
        return replace(self, intervals=intervals)


@dataclass(frozen=True)
class RequestLog:
    path: Path
    traffic: LogTraffic
    requests: int
    unreadable: int
    """Lines that were left out."""
    untimed: pd.DataFrame
    """Like `traffic.intervals`: requests without a time, in the highest bucket; those that failed are in both."""
    lost: Mapping[tuple[int, str], int]
    """How many of the unreadable lines belong to which second and which name, as its bytes."""
    is_coarse: bool
    """Times are accurate to 1.6 % instead of 0.4 %, because the log is large."""
    written: Mapping[str, str]
    """The names as their bytes, one character each, by the names as they are shown."""
    notes: tuple[str, ...]
    """How it was read, a sentence each."""
    restarts: int = 0
    """How often its times begin again, as where the logs of several runs were joined."""


def read_log(path: Path) -> RequestLog:
    """Read a CSV with these columns, among others, in any order.

    InputError if they are missing, if it has no line, or if the unit of its times is unclear.
    """
    rows, counted = LogRows(path), LogCells()
    for chunk in rows.chunks(_CHUNK_ROWS):
        counted.add(chunk)
    if counted.last_s - counted.start_s > _LONGEST_S:
        remedy = "are some of these milliseconds? Fix the lines that are far from the others"
        raise InputError(Problem(str(path), "it spans more than a year", remedy))
    if problem := rows.times.problem(str(path), rows.requests, counted.start_s, counted.last_s):
        raise InputError(problem)
    texts = Texts(counted.names)
    names = [texts.of(name) for name in counted.names]
    return RequestLog(
        path=path,
        traffic=_traffic(counted.frame(names), names, counted.start_s),
        requests=rows.requests,
        unreadable=rows.unreadable,
        untimed=counted.untimed_frame(names),
        lost=counted.lost,
        is_coarse=counted.is_coarse,
        written=dict(zip(names, counted.names, strict=True)),
        notes=(*_notes(rows), *texts.notes),
        restarts=rows.order.restarts,
    )


def _notes(rows: LogRows) -> Iterator[str]:
    if rows.times.unit not in {"seconds", ""}:
        yield f"`seconds` was read as {rows.times.unit}"
    if rows.untimed:
        yield f"{rows.untimed:,} requests have no time that can be read; they count in ratios, not in times"
    if rows.texts_as_status:
        yield f"{rows.texts_as_status:,} statuses are texts, and count as no answer"
    if restarts := rows.order.restarts:
        times = "once" if restarts == 1 else f"{restarts:,} times"
        yield f"its times begin again {times}: if these are several runs, they were all taken together as one"


def _traffic(intervals: pd.DataFrame, names: list[str], start_s: float) -> LogTraffic:
    """A single phase, as long as there are requests."""
    ended_s = int(intervals["second"].max()) + 1
    span = PhaseSpan(name=PHASE, start_s=0, end_s=ended_s, warm_up=False, users=None, rate_rps=None)
    return LogTraffic(
        phases=(span,),
        endpoints=tuple(names),
        start_unix_s=start_s,
        measured_s=float(ended_s),
        intervals=intervals,
    )
