"""Finds a turning point of failures, response times or throughput in the windows of a Locust run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from loadproof.analysis.estimates.estimate import Estimate, ratio_estimate
from loadproof.analysis.foreign.locust.entries import rounded
from loadproof.analysis.foreign.turningpoints.bentline import BentLine, bent_line
from loadproof.analysis.foreign.turningpoints.windows import WINDOW_S, failure_ratios
from loadproof.units import Dimension, counted, format_duration, format_quantity

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd
    from numpy.typing import NDArray

LEAST_RATIO: Final = 0.01
_FEWEST_EACH_SIDE: Final = 3
_FEWEST_AT_LOW_LOAD: Final = 2
_MOST_KNOTS: Final = 100
_LEAST_RISE: Final = 0.1
_FOLLOWS: Final = 1.25
"""If throughput grows by a smaller factor while users at least double, it doesn't follow them."""


@dataclass(frozen=True)
class TurningPoint:
    kind: str
    """throughput, times or failures."""
    at_s: float
    users: float
    what: str


@dataclass(frozen=True)
class TurnEvidence:
    """Whether one kind turned, and whether the run could have shown it."""

    kind: str
    turn: TurningPoint | None = None
    notes: tuple[str, ...] = ()
    had_power: bool = True


@dataclass(frozen=True)
class Timed:
    """Windows with requests, and the response time used for each."""

    used: pd.DataFrame
    word: str
    times_s: NDArray[np.float64]

    def course(self) -> Iterator[str]:
        """A sentence on how times developed, for when they can't be compared with load; none if they hardly changed."""
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
        return f"after {format_duration(row['end_s'])}, at {counted(row['users'], 'user')}"


def look_at_failures(used: pd.DataFrame) -> TurnEvidence:
    lows = np.array([ratio.low if ratio else 0.0 for ratio in failure_ratios(used)])
    sums = used[["failures", "requests"]].fillna(0).clip(lower=0).cumsum()
    for index in range(1, len(used)):
        before = ratio_estimate(int(sums["failures"].iloc[index - 1]), int(sums["requests"].iloc[index - 1]))
        if before is None or lows[index] <= _limit(before):
            continue
        share = used["failures"].iloc[index] / used["requests"].iloc[index]
        share, was = (format_quantity(float(ratio), Dimension.RATIO) for ratio in (share, before.value))
        if index == len(used) - 1:
            note = f"Failures rose only in the last {WINDOW_S} s: {share} of the requests, {was} before."
            return TurnEvidence("failures", notes=(note,))
        if lows[index + 1] > _limit(before):
            word = "rose" if before.low > LEAST_RATIO else "began"
            what = f"failures {word}: {share} of the requests, {was} before"
            return TurnEvidence("failures", _turn("failures", used, index, what))
    # Failures from the start have no beginning that could have been observed.
    return TurnEvidence("failures", had_power=bool(lows[0] <= LEAST_RATIO))


def _limit(before: Estimate) -> float:
    return max(LEAST_RATIO, min(2 * before.high, before.high + _LEAST_RISE))


def look_at_times(timed: Timed, low: NDArray[np.bool_]) -> TurnEvidence:
    used, word, times_s = timed.used, timed.word, timed.times_s
    at_low = times_s[low & np.isfinite(times_s)]
    if len(at_low) < _FEWEST_AT_LOW_LOAD:
        note = (
            f"Low load was too short to compare times with: {len(at_low)} x {WINDOW_S} s with times at up to "
            f"{used['users'][low].max():,.0f} users; {_FEWEST_AT_LOW_LOAD} x {WINDOW_S} s are needed."
        )
        return TurnEvidence("times", notes=(note, *timed.course()), had_power=False)
    level_s = float(np.median(at_low))
    limit_s = 2 * rounded(level_s * 1000, 1).high
    lowest_s = np.array([rounded(value * 1000, 1).low if math.isfinite(value) else 0.0 for value in times_s])
    beyond = (lowest_s > limit_s) & ~low
    index = _twice_in_a_row(beyond)
    if index is None:
        now = f"{format_duration(times_s[-1])}, {format_duration(level_s)} at low load"
        last = f"Only in the last {WINDOW_S} s, {word} more than doubled: {now}."
        return TurnEvidence("times", notes=(last,) if beyond[-1] else ())
    what = f"{word} more than doubled: {format_duration(times_s[index])}, {format_duration(level_s)} at low load"
    return TurnEvidence("times", _turn("times", used, index, what))


def look_at_throughput(used: pd.DataFrame, low: NDArray[np.bool_]) -> TurnEvidence:
    top = used["users"].max()
    # After the load's last peak the question is a different one: whether the target recovers.
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
        return TurnEvidence("throughput", notes=(note,), had_power=False)
    best = _best(climb, knots)
    if not best.is_flat_behind:
        notes = tuple(_follows_not(used, low))
        return TurnEvidence("throughput", notes=notes, had_power=not notes)
    index = int(np.flatnonzero(users >= best.knot)[0])
    what = (
        f"throughput stopped growing at about {format_quantity(best.at_knot_rps, Dimension.RATE)}, "
        f"while users grew on to {top:,.0f}"
    )
    return TurnEvidence("throughput", _turn("throughput", climb, index, what))


def _best(climb: pd.DataFrame, knots: list[float]) -> BentLine:
    users, rates_rps = climb["users"].to_numpy(dtype=float), climb["throughput_rps"].to_numpy(dtype=float)
    fits = [bent_line(users, rates_rps, knot) for knot in knots[:: math.ceil(len(knots) / _MOST_KNOTS)]]
    return min(fits, key=lambda fit: fit.squares)


def _follows_not(used: pd.DataFrame, low: NDArray[np.bool_]) -> Iterator[str]:
    """A note if throughput had already reached its maximum at the lowest load, where there is no knot to find."""
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
    """The index of the first of two neighbours that are both set (a single one may be chance), or None."""
    found = np.flatnonzero(flags[:-1] & flags[1:])
    return int(found[0]) if len(found) else None


def _turn(kind: str, table: pd.DataFrame, index: int, what: str) -> TurningPoint:
    row = table.iloc[index]
    return TurningPoint(kind, float(row["start_s"]), float(row["users"]), what)
