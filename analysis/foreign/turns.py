"""The history of a Locust run to the moments at which it turned: throughput, response times, failures against users.

The method is deliberately plain. The history is cut into windows of ten seconds, as long as Locust's own, so that
each percentile belongs to one window. `low load` are the windows in the lowest quarter of the range of users.

- Failures began in the first of two windows in a row whose ratio of failures lies, with its whole Wilson interval,
  above 1 %, and above twice the ratio of all that came before, or ten points above it. Failures from the start have no
  such moment, and are told as what they are.
- p95 doubled in the first of two windows in a row above low load that are more than twice the median at low load,
  with Locust's rounding counted against it. Where percentiles are since the start, the mean of each window, which can
  be told from the totals, stands in for p95.
- Throughput stopped growing at the knot of a line that bends once, fitted by least squares to throughput against users
  while load rose: the line must rise by half before the knot, users must grow by another quarter behind it, and the
  slope behind it must be, with 99 % confidence, below a quarter of that before.

Where one of them can't look, for low load was too short or load never changed, a note says so, and shows what there is.
None of them can tell the target from a load generator that reached its own end.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from analysis.estimates.estimate import Estimate, ratio_estimate
from analysis.foreign.bentline import BentLine, bent_line
from analysis.foreign.locustentries import rounded
from loadproof.units import Dimension, format_duration, format_quantity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from analysis.foreign.locustcsv import LocustRun

WINDOW_S: Final = 10
FEWEST_WINDOWS: Final = 6
_FEWEST_EACH_SIDE: Final = 3
_FEWEST_AT_LOW_LOAD: Final = 2
_MOST_KNOTS: Final = 100
_LEAST_RATIO: Final = 0.01
_LEAST_RISE: Final = 0.1
_FOLLOWS: Final = 1.25
"""Throughput that grows by less, while users at least double, does not follow them."""


@dataclass(frozen=True)
class Turn:
    kind: str
    """throughput, times or failures."""
    at_s: float
    users: float
    what: str


@dataclass(frozen=True)
class Degradation:
    turns: tuple[Turn, ...]
    """In order of time."""
    extent: str
    """Up to which load was looked, or why not at all; a sentence."""
    looked_for: tuple[str, ...] = ()
    """Kinds of turns that the history has the power to show."""
    notes: tuple[str, ...] = ()
    """Why not the others, and what is seen all the same; a sentence each."""

    @property
    def looked(self) -> bool:
        return bool(self.looked_for)


def windows(run: LocustRun, width_s: float = WINDOW_S) -> pd.DataFrame:
    """What happened in each window: start_s, end_s, users, requests, failures, mean_s, and the quantiles' columns.

    Requests, failures and the mean are differences of the history's totals, which do not lag as its requests/s do;
    a quantile is the window's last, and missing where the history's are since the start.
    """
    history = run.history
    if history.empty:
        return pd.DataFrame(columns=["start_s", "end_s", "users", "requests", "failures", "mean_s", "throughput_rps"])
    groups = history.groupby(history["time_s"] // width_s)
    table = groups.last().reset_index(drop=True)
    table["users"] = groups["users"].mean().to_numpy()
    table["end_s"] = table["time_s"]
    table["start_s"] = table["end_s"].shift(fill_value=float(history["time_s"].iloc[0]))
    weight_s = table["mean_s"] * table["requests"]
    before = table[["requests", "failures"]].shift(fill_value=0.0)
    # The first row of the history has counts of its own only where Locust began before it.
    before.iloc[0] = history[["requests", "failures"]].iloc[0].to_numpy()
    weight_before_s = weight_s.shift(fill_value=float(history["mean_s"].iloc[0] * history["requests"].iloc[0]))
    # Totals that fall were set back: what there is since belongs to this window.
    reset = table["requests"] < before["requests"]
    before[reset] = 0.0
    weight_before_s[reset] = 0.0
    table[["requests", "failures"]] -= before
    table["mean_s"] = ((weight_s - weight_before_s) / table["requests"]).where(table["requests"] > 0).clip(lower=0)
    length_s = table["end_s"] - table["start_s"]
    table["throughput_rps"] = (table["requests"] / length_s).where(length_s > 0)
    quantiles = [column for column in table if isinstance(column, float)]
    if run.cumulative:
        table[quantiles] = math.nan
    return table[length_s > 0].drop(columns=["time_s", "max_s"]).reset_index(drop=True)


def find_turns(run: LocustRun) -> Degradation:
    """What turned, and when; nothing on noise, and a note where there is too little to go by."""
    run = replace(run, history=run.history[run.history["time_s"] >= run.last_run_s])
    table = windows(run)
    table = table[(table["end_s"] - table["start_s"] >= WINDOW_S / 2) & table["users"].notna()].reset_index(drop=True)
    used = table[table["requests"] > 0].reset_index(drop=True)
    seen = _Seen(used, *_times_of(used, cumulative=run.cumulative))
    notes = [*_failed_from_the_start(run.history, used), *_stood_still(table)]
    if len(used) < FEWEST_WINDOWS:
        many = f"{len(used)} x {WINDOW_S} s with requests; {FEWEST_WINDOWS} x {WINDOW_S} s are needed."
        return Degradation((), f"The history is too short: {many}", notes=(*notes, *seen.course()))
    low, rises = _low_load(used)
    looks = [_failures(used)]
    if rises:
        looks += [_throughput(used, low), _times(seen, low)]
    else:
        notes += seen.course()
    turns = sorted((look.turn for look in looks if look.turn is not None), key=lambda turn: turn.at_s)
    return Degradation(
        tuple(turns),
        _extent(run, used, rises=rises),
        looked_for=tuple(look.kind for look in looks if look.had_power),
        notes=(*notes, *(note for look in looks for note in look.notes)),
    )


@dataclass(frozen=True)
class _Look:
    kind: str
    turn: Turn | None = None
    notes: tuple[str, ...] = ()
    had_power: bool = True


@dataclass(frozen=True)
class _Seen:
    """The windows, and the time that each is told by."""

    used: pd.DataFrame
    word: str
    times_s: NDArray[np.float64]

    def course(self) -> Iterator[str]:
        """How times went, where they can't be set against load; nothing where they hardly did."""
        known = np.flatnonzero(np.isfinite(self.times_s))
        if not len(known):
            return
        first, peak = known[0], known[np.argmax(self.times_s[known])]
        if self.times_s[peak] >= 2 * self.times_s[first] > 0:
            yield (
                f"Still, {self.word} went from {format_duration(self.times_s[first])} "
                f"({self._when(first)}) to {format_duration(self.times_s[peak])} ({self._when(peak)})."
            )

    def _when(self, index: int) -> str:
        row = self.used.iloc[index]
        return f"after {format_duration(row['end_s'])}, at {row['users']:,.0f} users"


def _times_of(used: pd.DataFrame, *, cumulative: bool) -> tuple[str, NDArray[np.float64]]:
    word, column = ("the mean response time", "mean_s") if cumulative or 0.95 not in used else ("p95", 0.95)
    return word, used[column].to_numpy(dtype=float)


def _extent(run: LocustRun, used: pd.DataFrame, *, rises: bool) -> str:
    users, rate_rps = used["users"].max(), used["throughput_rps"].max()
    seen = f"{users:,.0f} users and {format_quantity(rate_rps, Dimension.RATE)}"
    if rises:
        return f"Tested up to {seen}; nothing is known about higher load."
    untold = "how throughput and times depend on load can't be determined."
    first, top = run.history["users"].iloc[0], run.history["users"].max()
    if top >= 2 * max(first, 1.0):
        return f"The load rose from {first:,.0f} to {top:,.0f} users within a window of {WINDOW_S} s: {untold}"
    return f"The load hardly changed (up to {seen}): {untold}"


def _low_load(used: pd.DataFrame) -> tuple[NDArray[np.bool_], bool]:
    """Which windows are at low load, and whether users at least doubled."""
    users = used["users"].to_numpy(dtype=float)
    rises = bool(users.max() >= 2 * max(users.min(), 1.0))
    return users <= users.min() + (users.max() - users.min()) / 4, rises


def _failed_from_the_start(history: pd.DataFrame, used: pd.DataFrame) -> Iterator[str]:
    """Then nothing came before, and no load is known at which there were none."""
    first = next(iter(_ratios(used)), None)
    if first is not None and first.low > _LEAST_RATIO:
        users = used["users"].iloc[0]
        lowest = ", the lowest load seen" if users <= used["users"].min() else ""
        yield (
            f"There were failures from the start: {format_quantity(first.value, Dimension.RATIO)} of the requests "
            f"of the first {WINDOW_S} s, at {users:,.0f} users{lowest}{_first_failure(history)}."
        )


def _first_failure(history: pd.DataFrame) -> str:
    """As finely as the history has it."""
    failed = history[history["failures"] > 0]
    if failed.empty:
        return ""
    at_s = float(failed["time_s"].iloc[0] - history["time_s"].iloc[0])
    return f"; the first after {format_duration(at_s)}, at {failed['users'].iloc[0]:,.0f} users"


def _stood_still(table: pd.DataFrame) -> Iterator[str]:
    """Windows with users and without an answer, once there was one: they are in no ratio and no time."""
    begun = (table["requests"] > 0).cummax()
    silent = table[begun & (table["requests"] == 0) & (table["users"] >= 1)]
    if len(silent):
        yield (
            f"In {len(silent)} x {WINDOW_S} s no request ended at all, although there were users; "
            f"first after {format_duration(silent['start_s'].iloc[0])}."
        )


def _ratios(used: pd.DataFrame) -> list[Estimate | None]:
    """Of failures, window by window."""
    counts = used[["failures", "requests"]].fillna(0).clip(lower=0)
    return [ratio_estimate(int(hits), int(n)) for hits, n in counts.itertuples(index=False)]


def _failures(used: pd.DataFrame) -> _Look:
    lows = np.array([ratio.low if ratio else 0.0 for ratio in _ratios(used)])
    sums = used[["failures", "requests"]].fillna(0).clip(lower=0).cumsum()
    for index in range(1, len(used)):
        before = ratio_estimate(int(sums["failures"].iloc[index - 1]), int(sums["requests"].iloc[index - 1]))
        if before is None or lows[index] <= _limit(before):
            continue
        share = used["failures"].iloc[index] / used["requests"].iloc[index]
        share, was = (format_quantity(float(ratio), Dimension.RATIO) for ratio in (share, before.value))
        if index == len(used) - 1:
            note = f"Failures only in the last {WINDOW_S} s: {share} of the requests, {was} before."
            return _Look("failures", notes=(note,))
        if lows[index + 1] > _limit(before):
            word = "rose" if before.low > _LEAST_RATIO else "began"
            what = f"failures {word}: {share} of the requests, {was} before"
            return _Look("failures", _turn("failures", used, index, what))
    # What was there from the start has no beginning that could have been seen.
    return _Look("failures", had_power=bool(lows[0] <= _LEAST_RATIO))


def _limit(before: Estimate) -> float:
    return max(_LEAST_RATIO, min(2 * before.high, before.high + _LEAST_RISE))


def _times(seen: _Seen, low: NDArray[np.bool_]) -> _Look:
    used, word, times_s = seen.used, seen.word, seen.times_s
    at_low = times_s[low & np.isfinite(times_s)]
    if len(at_low) < _FEWEST_AT_LOW_LOAD:
        note = (
            f"Low load was too short to compare times with: {len(at_low)} x {WINDOW_S} s with times at up to "
            f"{used['users'][low].max():,.0f} users; {_FEWEST_AT_LOW_LOAD} x {WINDOW_S} s are needed."
        )
        return _Look("times", notes=(note, *seen.course()), had_power=False)
    level_s = float(np.median(at_low))
    limit_s = 2 * rounded(level_s * 1000, 1).high
    lowest_s = np.array([rounded(value * 1000, 1).low if math.isfinite(value) else 0.0 for value in times_s])
    beyond = (lowest_s > limit_s) & ~low
    index = _twice_in_a_row(beyond)
    if index is None:
        now = f"{format_duration(times_s[-1])}, {format_duration(level_s)} at low load"
        last = f"Only in the last {WINDOW_S} s, {word} more than doubled: {now}."
        return _Look("times", notes=(last,) if beyond[-1] else ())
    what = f"{word} more than doubled: {format_duration(times_s[index])}, {format_duration(level_s)} at low load"
    return _Look("times", _turn("times", used, index, what))


def _throughput(used: pd.DataFrame, low: NDArray[np.bool_]) -> _Look:
    top = used["users"].max()
    # What comes after the load's last peak is another story: a target that recovers, or does not.
    climb = used.iloc[: int(np.flatnonzero(used["users"] >= top)[-1]) + 1]
    users = climb["users"].to_numpy(dtype=float)
    knots = [
        knot
        for knot in np.unique(users)
        if min((users <= knot).sum(), (users > knot).sum()) >= _FEWEST_EACH_SIDE and top >= 1.25 * knot
    ]
    if not knots:
        note = (
            "The climb was too short to tell whether throughput stopped growing: "
            f"{_FEWEST_EACH_SIDE} x {WINDOW_S} s are needed on either side of a load."
        )
        return _Look("throughput", notes=(note,), had_power=False)
    best = _best(climb, knots)
    if not best.is_flat_behind:
        notes = tuple(_follows_not(used, low))
        return _Look("throughput", notes=notes, had_power=not notes)
    index = int(np.flatnonzero(users >= best.knot)[0])
    what = (
        f"throughput stopped growing at about {format_quantity(best.at_knot_rps, Dimension.RATE)}, "
        f"while users grew on to {top:,.0f}"
    )
    return _Look("throughput", _turn("throughput", climb, index, what))


def _best(climb: pd.DataFrame, knots: list[float]) -> BentLine:
    users, rates_rps = climb["users"].to_numpy(dtype=float), climb["throughput_rps"].to_numpy(dtype=float)
    fits = [bent_line(users, rates_rps, knot) for knot in knots[:: math.ceil(len(knots) / _MOST_KNOTS)]]
    return min(fits, key=lambda fit: fit.squares)


def _follows_not(used: pd.DataFrame, low: NDArray[np.bool_]) -> Iterator[str]:
    """Throughput that was at its end before the lowest load has no knot."""
    users = used["users"].to_numpy(dtype=float)
    high = users >= users.max() - (users.max() - users.min()) / 4
    at_low_rps, at_high_rps = (float(used["throughput_rps"][part].median()) for part in (low, high))
    if at_high_rps < _FOLLOWS * at_low_rps:
        yield (
            f"Throughput did not grow with users: {format_quantity(at_low_rps, Dimension.RATE)} at up to "
            f"{users[low].max():,.0f} of them, {format_quantity(at_high_rps, Dimension.RATE)} from "
            f"{users[high].min():,.0f} on. It may have reached its limit below the lowest load seen."
        )


def _twice_in_a_row(flags: NDArray[np.bool_]) -> int | None:
    """The first of two neighbours that are both set: one alone may be chance."""
    found = np.flatnonzero(flags[:-1] & flags[1:])
    return int(found[0]) if len(found) else None


def _turn(kind: str, table: pd.DataFrame, index: int, what: str) -> Turn:
    row = table.iloc[index]
    return Turn(kind, float(row["start_s"]), float(row["users"]), what)
