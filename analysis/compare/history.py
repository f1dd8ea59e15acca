"""Judges all runs of a scenario over time: turns their replicates into what changed in which row, and when.

Each machine has a separate history, because numbers from different machines can't be compared. Within one, each row
(endpoint, phase, metric) is searched for changes; together they raise a false alarm in at most 5 % of stable histories
(Benjamini & Hochberg 1995, doi:10.1111/j.2517-6161.1995.tb02031.x, also valid for rows that rise and fall together).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from itertools import takewhile
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import numpy as np

from loadproof.analysis.compare.baseline.sides import copies, machine_of
from loadproof.analysis.compare.baseline.traffic import traffic_of
from loadproof.analysis.compare.comparedrow import least_sd, scale_of, values_of
from loadproof.analysis.compare.replicates import directions_of, sources_of, usable_replicates
from loadproof.analysis.compare.statistics.changepoints import (
    FEWEST,
    ChangePoints,
    LevelChange,
    best_p,
    changes_in,
    odd_runs,
)
from loadproof.analysis.compare.statistics.equivalence import margin_on
from loadproof.analysis.compare.unfit import lately_unsent
from loadproof.errors import InputError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from loadproof.analysis.compare.replicates import Replicate, Row
    from loadproof.analysis.compare.statistics.welch import Scale
    from loadproof.rundir.manifest import Manifest
    from loadproof.scenario.thresholds.expectation import Metric

FALSE_ALARMS: Final = 0.05
"""Share of stable histories with any false alarm, for all rows of all machines together."""
RECENT: Final = 10
"""In runs: a lasting regression that began within this many of the latest runs is news."""


class Trend(StrEnum):
    """What a row did over the runs of one machine; the most important trends come first."""

    REGRESSED = "regressed"
    IMPROVED = "improved"
    WENT_AWAY = "went away"
    SMALL = "small change"
    STABLE = "stable"
    TOO_FEW = "too few"


@dataclass(frozen=True)
class Event(LevelChange):
    """A level change as people read it: its runs are numbered within the machine, including those without a value.

    Sizes are relative to the level before; for shares of requests they are differences.
    """

    trend: Trend


@dataclass(frozen=True)
class RowHistory:
    """One row over the runs of one machine, which are numbered from 0."""

    row: Row
    metric: Metric
    runs: tuple[int, ...]
    """The numbers of the runs that have a value."""
    values: NDArray[np.float64]
    """In SI units, shape (runs,)."""
    events: tuple[Event, ...]
    odd: tuple[int, ...]
    """Single runs far from both of their neighbours; they were left out."""
    is_worse_now: bool = False
    """The latest run is odd, and worse by an amount that matters: only the next run can tell whether it is a change."""

    @property
    def scale(self) -> Scale:
        return scale_of(self.metric)

    @property
    def trend(self) -> Trend:
        """The most important trend of its changes: later changes don't hide a lasting regression."""
        if len(self.runs) < FEWEST:
            return Trend.TOO_FEW
        return min((event.trend for event in self.events), key=list(Trend).index, default=Trend.STABLE)

    @property
    def level(self) -> float:
        """The median of the runs since the last change."""
        return float(np.median(self.values[np.asarray(self.runs) >= max(self._bounds, default=0)]))

    @property
    def spread(self) -> float:
        """The standard deviation between runs on the scale, without changes and odd runs; NaN if unknown."""
        part = np.searchsorted(self._bounds, self.runs, side="right")
        kept = ~np.isin(self.runs, self.odd)
        parts = [self.scale.of(self.values[kept & (part == one)]) for one in np.unique(part[kept])]
        freedom = sum(one.size - 1 for one in parts)
        squares = sum(float(np.sum((one - one.mean()) ** 2)) for one in parts)
        return math.sqrt(squares / freedom) if freedom else math.nan

    @property
    def _bounds(self) -> list[int]:
        """The runs that begin a new level."""
        return sorted({run for event in self.events for run in (event.first, event.until) if run is not None})


@dataclass(frozen=True)
class Stretch:
    """The runs of one machine, in order."""

    machine: str
    runs: tuple[Replicate, ...]
    rows: tuple[RowHistory, ...]

    @property
    def is_long_enough(self) -> bool:
        return len(self.runs) >= FEWEST

    @cached_property
    def no_longer_sent(self) -> tuple[str, ...]:
        """Requests that some of the latest runs, at most `RECENT`, didn't send any more."""
        return tuple(lately_unsent(self.runs, RECENT))


@dataclass(frozen=True)
class RunHistory:
    """All runs of a scenario that can be compared with each other, and why others can't."""

    scenario: str
    stretches: tuple[Stretch, ...]
    """The machine of the latest run comes first."""
    left_out: tuple[Problem, ...]
    broken: int = 0
    """The number of latest runs on their machine without values, because the target ended every one of them."""

    @property
    def latest_regressions(self) -> tuple[RowHistory, ...]:
        """Rows of the latest run's machine that regressed recently, and have not recovered by more than half."""
        return self._recent(Trend.REGRESSED)

    @property
    def latest_improvements(self) -> tuple[RowHistory, ...]:
        return self._recent(Trend.IMPROVED)

    @property
    def rows_apart(self) -> tuple[RowHistory, ...]:
        """Rows of the latest run's machine in which that run alone is far off, and worse."""
        stretch = self.stretches[0]
        return tuple(row for row in stretch.rows if row.is_worse_now and row.runs[-1] == len(stretch.runs) - 1)

    def _recent(self, trend: Trend) -> tuple[RowHistory, ...]:
        stretch = self.stretches[0]
        recent = len(stretch.runs) - RECENT
        return tuple(
            row for row in stretch.rows if any(event.trend is trend and event.first >= recent for event in row.events)
        )


def history_of(paths: Sequence[Path], *, smallest: float | None = None) -> RunHistory:
    """The history of these run directories of one scenario; raises the first one's error if none of them can be used.

    InputError if the target ended all of them. Changes below `smallest` (for shares of requests, a tenth of it) are
    shown but are not news; None: the scenario's margin.
    """
    usable, errors = usable_replicates(paths)
    left_out = [problem for error in errors for problem in error.problems]
    if not usable:
        raise errors[0]
    usable.sort(key=lambda run: run.manifest.start_unix_s)
    copied = {copy.path: of.path for copy, of in copies(usable)}
    left_out += [Problem(str(path), "the same run once more", "it counts once", str(of)) for path, of in copied.items()]
    usable = [run for run in usable if run.path not in copied]
    latest = usable[-1].manifest
    machines = defaultdict[str, list["Replicate"]](list)
    for run in usable:
        if why := _differs(run.manifest, latest):
            left_out.append(Problem(str(run.path), f"not like the latest run: {why}", "it has a history of its own"))
        elif run.broke:
            what = "the target ended the run, so it has no values"
            left_out.append(Problem(str(run.path), what, "read its own report", got=run.manifest.ending))
        else:
            machines[machine_of(run.manifest)].append(run)
    if not machines:
        raise InputError(left_out)
    broken = len(list(takewhile(lambda run: run.broke, _alike(reversed(usable), latest))))
    newest_first = sorted(machines.items(), key=lambda item: item[1][-1].manifest.start_unix_s, reverse=True)
    least = latest.scenario.margin if smallest is None else smallest
    stretches = judged([(machine, tuple(runs)) for machine, runs in newest_first], least)
    return RunHistory(latest.scenario.name, stretches, tuple(left_out), broken)


def _alike(runs: Iterable[Replicate], latest: Manifest) -> Iterator[Replicate]:
    """Runs on the latest run's machine that can be compared with it."""
    for run in runs:
        if machine_of(run.manifest) == machine_of(latest) and not _differs(run.manifest, latest):
            yield run


def _differs(theirs: Manifest, latest: Manifest) -> str:
    """Why a run can't be compared with the latest one; empty if it can."""
    was, now = ({**traffic_of(one.scenario), "settings": one.scenario.settings} for one in (theirs, latest))
    parts = [name for name, part in now.items() if was.get(name) != part]
    if _target_of(theirs) != _target_of(latest):
        parts.append("target")
    if theirs.workers != latest.workers:
        parts.append("number of workers")
    return f"other {' and '.join(parts)}" if parts else ""


def _target_of(manifest: Manifest) -> tuple[str, str | None]:
    """The target without its port, which may differ: an embedded target has a new one each time."""
    target = manifest.target
    return target.kind, urlsplit(target.address).hostname if target.kind == "own" else None


def judged(machines: Sequence[tuple[str, tuple[Replicate, ...]]], smallest: float) -> tuple[Stretch, ...]:
    """Each machine's runs, in order, with what their rows show; all varying rows of all machines form one family."""
    series = [list(_series(runs)) for _, runs in machines]
    limit = largest_p([one.best_p for rows in series for one in rows if one.is_tested])
    return tuple(
        Stretch(machine, runs, tuple(one.searched(limit, smallest) for one in rows))
        for (machine, runs), rows in zip(machines, series, strict=True)
    )


def largest_p(ps: Sequence[float]) -> float:
    """The largest p-value that counts as a change, by Benjamini and Hochberg's procedure; 0 if none does."""
    passing = [rank for rank, p in enumerate(sorted(ps), start=1) if p <= FALSE_ALARMS * rank / len(ps)]
    return FALSE_ALARMS * max(passing) / len(ps) if passing else 0.0


@dataclass(frozen=True)
class _Series:
    """A row before it is searched."""

    row: Row
    metric: Metric
    runs: tuple[int, ...]
    values: NDArray[np.float64]
    floor: float
    """The smallest standard deviation that a value can have, on the scale."""
    should_be_high: bool

    @property
    def scaled(self) -> NDArray[np.float64]:
        return scale_of(self.metric).of(self.values)

    @property
    def is_tested(self) -> bool:
        """Whether it is in the family: a row that never varies can't have changed, and would only hide others."""
        return len(self.runs) >= FEWEST and float(np.ptp(self.values)) > 0

    @property
    def best_p(self) -> float:
        return best_p(self.scaled, floor=self.floor)

    def searched(self, limit: float, smallest: float) -> RowHistory:
        scaled = self.scaled
        points = (
            changes_in(scaled, limit=limit, floor=self.floor, better=1 if self.should_be_high else -1)
            if limit
            else ChangePoints((), odd_runs(scaled, floor=self.floor))
        )
        events = tuple(self._event(change, smallest) for change in points.changes)
        odd = tuple(self.runs[place] for place in points.odd)
        # The level that the latest run follows, not that of long before.
        bounds = [place for change in points.changes for place in (change.first, change.until) if place is not None]
        places = np.arange(max(bounds, default=0), scaled.size)
        usual = scaled[places[~np.isin(places, points.odd)]]
        is_odd_now = scaled.size - 1 in points.odd and usual.size > 0
        is_worse_now = is_odd_now and self._is_worse(float(scaled[-1] - np.median(usual)), smallest)
        return RowHistory(self.row, self.metric, self.runs, self.values, events, odd, is_worse_now)

    def _is_worse(self, shift: float, smallest: float) -> bool:
        """Whether this shift is for the worse, and large enough to matter."""
        worse = -shift if self.should_be_high else shift
        return worse >= margin_on(scale_of(self.metric), smallest)

    def _event(self, change: LevelChange, smallest: float) -> Event:
        """The change with numbers of runs instead of places, and sizes as people read them."""
        scale = scale_of(self.metric)
        if abs(change.shift) < margin_on(scale, smallest):
            trend = Trend.SMALL
        elif change.until is not None:
            trend = Trend.WENT_AWAY
        else:
            trend = Trend.REGRESSED if self._is_worse(change.shift, smallest) else Trend.IMPROVED
        first, earliest, latest = (self.runs[place] for place in (change.first, change.earliest, change.latest))
        until = None if change.until is None else self.runs[change.until]
        shift, low, high = map(scale.shown, (change.shift, change.low, change.high))
        return Event(first, earliest, latest, until, shift, low, high, change.p, trend)


def _series(runs: Sequence[Replicate]) -> Iterator[_Series]:
    """The series of each row; a run without requests for it is left out."""
    # Thresholds, and what a locustfile sends, may differ from run to run.
    metrics = {row: source.metric for run in runs for row, source in sources_of(run.manifest.scenario).items()}
    directions = directions_of(runs[-1].manifest.scenario)
    for row in dict.fromkeys(row for run in runs for row in run.estimates):
        numbers = [number for number, run in enumerate(runs) if row in run.estimates]
        estimates, metric = [runs[number].estimates[row] for number in numbers], metrics[row]
        values = values_of(estimates, metric)
        should_be_high = directions.get(row, metric.kind.should_be_high)
        yield _Series(row, metric, tuple(numbers), values, least_sd(estimates, metric), should_be_high)
