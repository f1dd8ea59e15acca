"""Reads the four CSVs of any Locust run into a `LocustRun`: totals by endpoint, history, failures, exceptions.

Reads Locust 1.0 to 2.47, with and without full history. Times become seconds; columns may be missing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from loadproof.analysis.foreign.locust.csvset import CsvSet, csv_set
from loadproof.analysis.foreign.locust.entries import Entry, entry_of, is_older, number_of, quantiles_of, split
from loadproof.analysis.foreign.locust.history import History
from loadproof.analysis.foreign.locust.mismatches import mismatches
from loadproof.analysis.foreign.locust.relations import in_totals
from loadproof.analysis.foreign.locust.rows import (
    EXCEPTIONS,
    FAILURES,
    HISTORY,
    LAYOUTS,
    STATS,
    RowReader,
    refuse_unreadable,
)
from loadproof.analysis.foreign.locust.upsets import Upsets
from loadproof.analysis.foreign.texts import Texts
from loadproof.errors import InputError, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pandas as pd

    from loadproof.analysis.foreign.locust.rows import Layout


@dataclass(frozen=True)
class CsvFailure:
    method: str
    name: str
    error: str
    occurrences: int


@dataclass(frozen=True)
class CsvException:
    """An exception in the locustfile itself."""

    count: int
    message: str


@dataclass(frozen=True)
class LocustRun:
    source: CsvSet
    files: tuple[str, ...]
    """Names of the files that exist."""
    entries: tuple[Entry, ...]
    total: Entry | None
    percentiles: tuple[float, ...]
    """Quantiles (0-1) for which the totals have a column."""
    history: pd.DataFrame
    """All endpoints together, one row per time: time_s from the first row, users, requests and failures (cumulative),
    mean_s and max_s (cumulative), and a column for each quantile in s, keyed by the quantile (0-1).
    """
    start_unix_s: float | None
    full_history: bool
    """The history also has rows for each endpoint."""
    cumulative: bool
    """The history's percentiles cover everything since the start rather than the last ten seconds."""
    failures: tuple[CsvFailure, ...]
    exceptions: tuple[CsvException, ...]
    damage: tuple[str, ...] = field(default=())
    """What was missing or unreadable, one sentence each."""
    repeats: tuple[Entry, ...] = ()
    """Further rows of an endpoint, or of all together, that are not an older state of its first row."""
    seconds: tuple[Entry, ...] = ()
    """Endpoints as in the history's last rows; empty without full history."""
    second_total: Entry | None = None
    """All endpoints together, as in the history's last row."""
    has_lost_rows: bool = False
    """The file with the totals has lost rows, and it is unknown which."""
    last_run_s: float = 0.0
    """When the last of several runs in one history began, in s from its first row; earlier rows are other runs."""
    upsets: Upsets = field(default_factory=Upsets)
    """What can't occur in the history of one undisturbed run."""

    @property
    def name(self) -> str:
        return self.source.name

    @property
    def duration_s(self) -> float:
        return float(self.history["time_s"].iloc[-1]) if len(self.history) else 0.0


def load_locust_run(path: Path) -> LocustRun:
    """Read PREFIX_stats.csv and the three files next to it, as far as they exist.

    InputError if none of them exists, or if nothing in them can be read.
    """
    source = csv_set(path)
    readers = _readers(source, path)
    entries, repeats = _entries(readers[STATS])
    history = History(readers[HISTORY])
    failures, exceptions = _failures(readers[FAILURES]), _exceptions(readers[EXCEPTIONS])
    refuse_unreadable(list(readers.values()))
    if not (entries or failures or exceptions or len(history.frame)):
        what = "none of its rows covers all requests"
        raise InputError(Problem(str(readers[HISTORY].path), what, "give the CSVs of a run as Locust wrote them"))
    is_from_history = not entries and len(history.frame) > 0
    total, endpoints = split(list(history.entries()) if is_from_history else entries)
    second_total, seconds = split(list(history.entries()), adds_up=False)
    damage = [sentence for reader in readers.values() for sentence in reader.damage]
    if is_from_history:
        damage.append("the totals are those of the history's last row")
    listed = sum(failure.occurrences for failure in failures)
    damage += mismatches(total, endpoints, history, listed=listed, repeats=repeats)
    run = LocustRun(
        source=source,
        files=tuple(reader.path.name for reader in readers.values() if reader.exists),
        entries=endpoints,
        total=total,
        percentiles=_percentiles(readers, history),
        history=history.frame,
        start_unix_s=history.start_unix_s,
        full_history=bool(history.last),
        cumulative=history.cumulative,
        failures=failures,
        exceptions=exceptions,
        damage=(*damage, *history.damage),
        repeats=repeats,
        seconds=seconds,
        second_total=second_total,
        has_lost_rows=readers[STATS].has_lost or (is_from_history and readers[HISTORY].skipped > 0),
        last_run_s=history.last_run_s,
        upsets=history.upsets,
    )
    return _readable(run)


def _readers(source: CsvSet, path: Path) -> dict[Layout, RowReader]:
    readers = {layout: RowReader(source.paths[layout], layout) for layout in LAYOUTS}
    if not source.exists:
        names = ", ".join(reader.path.name for reader in readers.values())
        remedy = "give a run directory, or the prefix that Locust's --csv was given"
        raise InputError(Problem(str(path), f"not a run directory, and none of {names} exists", remedy))
    return readers


def _percentiles(readers: Mapping[Layout, RowReader], history: History) -> tuple[float, ...]:
    """Quantiles of the totals, or of the history if its percentiles cover the entire run."""
    header = readers[STATS].header or (readers[HISTORY].header if history.cumulative else [])
    return tuple(sorted(quantiles_of(dict.fromkeys(header, ""))))


def _readable(run: LocustRun) -> LocustRun:
    """The run with readable texts; until here texts have one character per byte."""
    texts = Texts(
        [
            *(text for entry in (*run.entries, *run.repeats, *run.seconds) for text in (entry.method, entry.name)),
            *(text for failure in run.failures for text in (failure.method, failure.name, failure.error)),
            *(raised.message for raised in run.exceptions),
        ]
    )

    def shown(entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
        return tuple(
            replace(entry, method=texts.of(entry.method), name=texts.of(entry.name), written=entry.name)
            for entry in entries
        )

    return replace(
        run,
        entries=shown(run.entries),
        repeats=shown(run.repeats),
        seconds=shown(run.seconds),
        failures=tuple(
            replace(one, method=texts.of(one.method), name=texts.of(one.name), error=texts.of(one.error))
            for one in run.failures
        ),
        exceptions=tuple(replace(raised, message=texts.of(raised.message)) for raised in run.exceptions),
        damage=(*run.damage, *texts.notes),
        upsets=run.upsets.named(texts.of),
    )


def _entries(reader: RowReader) -> tuple[list[Entry], tuple[Entry, ...]]:
    """Each endpoint once, and further rows that contradict it.

    A crash in the middle of a write can leave an old row after the new one; an old row's counts are never larger.
    """
    first: dict[tuple[str, str], Entry] = {}
    repeats = []
    for row in reader.rows():
        entry = entry_of(row, count="Request Count", failures="Failure Count", prefix="")
        if entry is None:
            reader.reject(row)
            continue
        entry = replace(entry, contradictions=tuple(in_totals(row)))
        if not is_older(entry, first.setdefault((entry.method, entry.name), entry)):
            repeats.append(entry)
    return list(first.values()), tuple(repeats)


def _failures(reader: RowReader) -> tuple[CsvFailure, ...]:
    """Failures, most frequent first."""
    failures = []
    for row in reader.rows():
        occurrences = number_of(row["Occurrences"])
        if math.isnan(occurrences):
            reader.reject(row)
        else:
            failures.append(CsvFailure(row["Method"], row["Name"], row["Error"], int(occurrences)))
    return tuple(sorted(failures, key=lambda failure: (-failure.occurrences, failure.name, failure.error)))


def _exceptions(reader: RowReader) -> tuple[CsvException, ...]:
    exceptions = []
    for row in reader.rows():
        count = number_of(row["Count"])
        if math.isnan(count):
            reader.reject(row)
        else:
            exceptions.append(CsvException(int(count), row["Message"]))
    return tuple(sorted(exceptions, key=lambda raised: (-raised.count, raised.message)))
