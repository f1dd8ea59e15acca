"""The four CSVs of anyone's Locust run to a `LocustRun`: totals by endpoint, the history, failures, exceptions.

Locust 1.0 to 2.47, with and without full history. Times become seconds; a column that isn't there is simply missing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from analysis.foreign.csvset import CsvSet, csv_set
from analysis.foreign.locustentries import SUM, Entry, entry_of, number_of, quantiles_of, split
from analysis.foreign.locusthistory import History
from analysis.foreign.locustrows import EXCEPTIONS, FAILURES, HISTORY, LAYOUTS, STATS, RowReader, refuse_unreadable
from analysis.foreign.texts import Texts
from loadproof.errors import InputError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pandas as pd


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
    source: CsvSet
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
    has_lost_rows: bool = False
    """Of the totals: what they say of all endpoints together may lack some."""
    has_false_total: bool = False
    """Of all endpoints together fewer failures are told than of each."""
    last_run_s: float = 0.0
    """When the last of several runs in one history began; what came before is another story."""

    @property
    def name(self) -> str:
        return self.source.name

    @property
    def duration_s(self) -> float:
        return float(self.history["time_s"].iloc[-1]) if len(self.history) else 0.0


def load_locust_run(path: Path) -> LocustRun:
    """Read what there is of PREFIX_stats.csv and its three neighbours.

    InputError where there is none of them, or where nothing can be read of what there is.
    """
    source = csv_set(path)
    readers = {layout: RowReader(source.paths[layout], layout) for layout in LAYOUTS}
    if not source.exists:
        names = ", ".join(reader.path.name for reader in readers.values())
        remedy = "give a run directory, or the prefix that Locust's --csv was given"
        raise InputError(Problem(str(path), f"no run directory, and none of {names} is there", remedy))
    entries = list(_entries(readers[STATS]))
    history = History(readers[HISTORY])
    failures, exceptions = _failures(readers[FAILURES]), _exceptions(readers[EXCEPTIONS])
    refuse_unreadable(list(readers.values()))
    damage = [sentence for reader in readers.values() for sentence in reader.damage]
    if not entries and len(history.frame):
        entries = list(history.entries())
        damage.append("the totals are those of the history's last row")
    # The history's percentiles are those of the whole run only where they are since the start.
    header = readers[STATS].header or (readers[HISTORY].header if history.cumulative else [])
    if not (entries or failures or exceptions or len(history.frame)):
        what = "none of its rows tells of all requests"
        raise InputError(Problem(str(readers[HISTORY].path), what, "give the CSVs of a run as Locust wrote them"))
    total, endpoints = split(entries)
    damage += [*_gaps(total, endpoints), *_disagreement(total, history), *history.damage]
    run = LocustRun(
        source=source,
        files=tuple(reader.path.name for reader in readers.values() if reader.exists),
        entries=endpoints,
        total=total,
        percentiles=tuple(sorted(quantiles_of(dict.fromkeys(header, "")))),
        history=history.frame,
        start_unix_s=history.start_unix_s,
        full_history=bool(history.last),
        cumulative=history.cumulative,
        failures=failures,
        exceptions=exceptions,
        damage=tuple(damage),
        has_lost_rows=total is not None and total.name == SUM and readers[STATS].has_lost,
        has_false_total=total is not None and total.failures < sum(entry.failures for entry in endpoints),
        last_run_s=history.last_run_s,
    )
    return _readable(run)


def _readable(run: LocustRun) -> LocustRun:
    """With texts for people; until here each is its bytes."""
    texts = Texts(
        [
            *(text for entry in run.entries for text in (entry.method, entry.name)),
            *(text for failure in run.failures for text in (failure.method, failure.name, failure.error)),
            *(raised.message for raised in run.exceptions),
        ]
    )
    return replace(
        run,
        entries=tuple(
            replace(entry, method=texts.of(entry.method), name=texts.of(entry.name), written=entry.name)
            for entry in run.entries
        ),
        failures=tuple(
            replace(one, method=texts.of(one.method), name=texts.of(one.name), error=texts.of(one.error))
            for one in run.failures
        ),
        exceptions=tuple(replace(raised, message=texts.of(raised.message)) for raised in run.exceptions),
        damage=(*run.damage, *texts.notes),
    )


def _gaps(total: Entry | None, endpoints: tuple[Entry, ...]) -> Iterator[str]:
    """Rows of endpoints that are missing are seen in what all together have more than they."""
    if total is None or not endpoints:
        return
    if total.name == SUM:
        yield "there is no row of all endpoints; it was added up from theirs, without percentiles"
        return
    requests = total.requests - sum(entry.requests for entry in endpoints)
    failures = total.failures - sum(entry.failures for entry in endpoints)
    if requests or failures:
        yield (
            f"all endpoints together have {abs(requests):,} requests and {abs(failures):,} failures "
            f"{'more' if max(requests, failures) > 0 else 'fewer'} than the rows of each: some are missing, or are of "
            "another moment"
        )


def _disagreement(total: Entry | None, history: History) -> Iterator[str]:
    """Locust writes its files out every ten seconds, and not once more at its end. Source: locust/stats.py 2.47."""
    ahead = total.requests - history.requests if total and len(history.frame) else 0
    if ahead > 0:
        yield f"the history lacks the last {ahead:,} requests"
    elif ahead < 0:
        yield f"the stats file lacks the last {-ahead:,} requests"


def _entries(reader: RowReader) -> Iterator[Entry]:
    """Each endpoint once: a crash in the middle of a write can leave an old row behind the new one."""
    seen: set[tuple[str, str]] = set()
    for row in reader.rows():
        entry = entry_of(row, count="Request Count", failures="Failure Count", prefix="")
        if entry is None:
            reader.reject(row)
        elif (entry.method, entry.name) not in seen:
            seen.add((entry.method, entry.name))
            yield entry


def _failures(reader: RowReader) -> tuple[Failure, ...]:
    """The most frequent first."""
    found = []
    for row in reader.rows():
        occurrences = number_of(row["Occurrences"])
        if math.isnan(occurrences):
            reader.reject(row)
        else:
            found.append(Failure(row["Method"], row["Name"], row["Error"], int(occurrences)))
    return tuple(sorted(found, key=lambda failure: (-failure.occurrences, failure.name, failure.error)))


def _exceptions(reader: RowReader) -> tuple[Raised, ...]:
    found = []
    for row in reader.rows():
        count = number_of(row["Count"])
        if math.isnan(count):
            reader.reject(row)
        else:
            found.append(Raised(int(count), row["Message"]))
    return tuple(sorted(found, key=lambda raised: (-raised.count, raised.message)))
