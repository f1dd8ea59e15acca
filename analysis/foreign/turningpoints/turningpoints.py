"""Finds a Locust run's turning points, in throughput, response times and failures against users, from its history.

The method is deliberately simple. The history is cut into windows of ten seconds, as long as Locust's own, so that each
percentile belongs to one window. Low load means the windows in the lowest quarter of the range of users.

- Failures began in the first of two consecutive windows whose failure ratio has its entire Wilson interval above 1 %,
  and above twice the ratio of everything before, or ten points above it. Failures from the start have no such moment,
  and are reported separately.
- p95 doubled in the first of two consecutive windows above low load that are more than twice the median at low load,
  with Locust's rounding counted against it. If percentiles cover everything since the start, the mean of each window,
  which the totals give, stands in for p95.
- Throughput stopped growing at the knot of a line that bends once, fitted by least squares to throughput against users
  while load rose: the line must rise by half before the knot, users must grow by another quarter after it, and the
  slope after it must be, with 99 % confidence, below a quarter of the slope before.

If one of them can't be decided, because low load was too short or load never changed, a note says so, and shows what is
known. None of them can tell the target from a load generator that reached its own limit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from loadproof.analysis.foreign.turningpoints.looks import (
    LEAST_RATIO,
    Timed,
    TurningPoint,
    look_at_failures,
    look_at_throughput,
    look_at_times,
)
from loadproof.analysis.foreign.turningpoints.windows import WINDOW_S, failure_ratios, windows
from loadproof.units import Dimension, counted, format_duration, format_quantity

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from loadproof.analysis.foreign.locust.csvfiles import LocustRun

FEWEST_WINDOWS: Final = 6


@dataclass(frozen=True)
class TurnSearch:
    turns: tuple[TurningPoint, ...]
    """In chronological order."""
    extent: str
    """A sentence: up to which load was searched, or why nothing was."""
    looked_for: tuple[str, ...] = ()
    """Kinds of turning points that the history can show."""
    notes: tuple[str, ...] = ()
    """Why the other kinds can't be shown, and what was seen anyway; one sentence each."""

    @property
    def looked(self) -> bool:
        return bool(self.looked_for)


def find_turns(run: LocustRun) -> TurnSearch:
    """What turned, and when; noise gives no turning points, too little data gives a note."""
    run = replace(run, history=run.history[run.history["time_s"] >= run.last_run_s])
    table = windows(run)
    table = table[(table["end_s"] - table["start_s"] >= WINDOW_S / 2) & table["users"].notna()].reset_index(drop=True)
    used = table[table["requests"] > 0].reset_index(drop=True)
    timed = Timed(used, *_times_of(used, cumulative=run.cumulative))
    notes = [*_failed_from_the_start(run.history, used), *_stood_still(table)]
    if len(used) < FEWEST_WINDOWS:
        many = f"{len(used)} x {WINDOW_S} s with requests; {FEWEST_WINDOWS} x {WINDOW_S} s are needed."
        return TurnSearch((), f"The history is too short: {many}", notes=(*notes, *timed.course()))
    low, rises = _low_load(used)
    evidence = [look_at_failures(used)]
    if rises:
        evidence += [look_at_throughput(used, low), look_at_times(timed, low)]
    else:
        notes += timed.course()
    turns = sorted((part.turn for part in evidence if part.turn is not None), key=lambda turn: turn.at_s)
    return TurnSearch(
        tuple(turns),
        _extent(run, used, rises=rises),
        looked_for=tuple(part.kind for part in evidence if part.had_power),
        notes=(*notes, *(note for part in evidence for note in part.notes)),
    )


def _times_of(used: pd.DataFrame, *, cumulative: bool) -> tuple[str, NDArray[np.float64]]:
    word, column = ("the mean response time", "mean_s") if cumulative or 0.95 not in used else ("p95", 0.95)
    return word, used[column].to_numpy(dtype=float)


def _extent(run: LocustRun, used: pd.DataFrame, *, rises: bool) -> str:
    users, rate_rps = used["users"].max(), used["throughput_rps"].max()
    highest = f"{counted(users, 'user')} and {format_quantity(rate_rps, Dimension.RATE)}"
    if rises:
        return f"Tested up to {highest}; nothing is known about higher load."
    untold = "how throughput and times depend on load can't be determined."
    first, top = run.history["users"].iloc[0], run.history["users"].max()
    if top >= 2 * max(first, 1.0):
        return f"The load rose from {first:,.0f} to {top:,.0f} users within a window of {WINDOW_S} s: {untold}"
    return f"The load hardly changed (up to {highest}): {untold}"


def _low_load(used: pd.DataFrame) -> tuple[NDArray[np.bool_], bool]:
    """Which windows are at low load, and whether users at least doubled."""
    users = used["users"].to_numpy(dtype=float)
    rises = bool(users.max() >= 2 * max(users.min(), 1.0))
    return users <= users.min() + (users.max() - users.min()) / 4, rises


def _failed_from_the_start(history: pd.DataFrame, used: pd.DataFrame) -> Iterator[str]:
    """A note if there were failures from the start, so that no load without failures is known."""
    first = next(iter(failure_ratios(used)), None)
    if first is not None and first.low > LEAST_RATIO:
        users = used["users"].iloc[0]
        lowest = ", the lowest load seen" if users <= used["users"].min() else ""
        yield (
            f"There were failures from the start: {format_quantity(first.value, Dimension.RATIO)} of the requests "
            f"of the first {WINDOW_S} s, at {counted(users, 'user')}{lowest}{_first_failure(history)}."
        )


def _first_failure(history: pd.DataFrame) -> str:
    """When the first failure occurred, as precisely as the history allows; empty if there is none."""
    failed = history[history["failures"] > 0]
    if failed.empty:
        return ""
    at_s = float(failed["time_s"].iloc[0] - history["time_s"].iloc[0])
    return f"; the first after {format_duration(at_s)}, at {counted(failed['users'].iloc[0], 'user')}"


def _stood_still(table: pd.DataFrame) -> Iterator[str]:
    """A note on windows with users but without answers, after the first answer: no ratio or time includes them."""
    begun = (table["requests"] > 0).cummax()
    silent = table[begun & (table["requests"] == 0) & (table["users"] >= 1)]
    if len(silent):
        yield (
            f"In {len(silent)} x {WINDOW_S} s no request ended at all, although there were users; "
            f"first after {format_duration(silent['start_s'].iloc[0])}."
        )
