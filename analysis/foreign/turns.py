"""The history of a Locust run to the moments at which it turned: throughput, response times, failures against users.

The method is deliberately plain. The history is cut into windows of ten seconds, as long as Locust's own, so that
each percentile belongs to one window. `low load` are the windows in the lowest quarter of the range of users.

- Failures began in the first of two windows in a row whose ratio of failures lies, with its whole Wilson interval,
  above 1 % and above the interval of the ratio at low load.
- p95 doubled in the first of two windows in a row above low load that are more than twice the median at low load,
  with Locust's rounding counted against it. Where percentiles are since the start, the mean of each window, which can
  be told from the totals, stands in for p95.
- Throughput stopped growing at the knot of a line that bends once, fitted by least squares to throughput against users
  while load rose: the line must rise by half before the knot, users must grow by another quarter behind it, and the
  slope behind it must be, with 99 % confidence, below a quarter of that before.

None of them can tell the target from a load generator that reached its own end.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from analysis.estimates.distributions import t_quantile
from analysis.estimates.estimate import ratio_estimate
from analysis.foreign.locustentries import rounded
from loadproof.units import Dimension, format_duration, format_quantity

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from analysis.foreign.locustcsv import LocustRun

WINDOW_S: Final = 10
FEWEST_WINDOWS: Final = 6
_FEWEST_EACH_SIDE: Final = 3
_MOST_KNOTS: Final = 100
_FLAT_SLOPE: Final = 0.25
_CONFIDENCE: Final = 0.99
_LEAST_RATIO: Final = 0.01


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
    looked: bool = True


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
    """What turned, and when; nothing on noise, and a sentence instead where there is too little to go by."""
    table = windows(run)
    table = table[(table["end_s"] - table["start_s"] >= WINDOW_S / 2) & table["users"].notna()]
    used = table[table["requests"] > 0].reset_index(drop=True)
    if len(used) < FEWEST_WINDOWS:
        return Degradation(
            (),
            f"Too short a history: {len(used)} x {WINDOW_S} s with requests, "
            f"and {FEWEST_WINDOWS} x {WINDOW_S} s are needed.",
            looked=False,
        )
    low, rises = _low_load(used)
    turns = [_failures_turn(used, low)]
    if rises:
        turns += [_throughput_turn(used), _times_turn(used, low, cumulative=run.cumulative)]
    found = sorted((turn for turn in turns if turn is not None), key=lambda turn: turn.at_s)
    return Degradation(tuple(found), _extent(used, rises=rises))


def _extent(used: pd.DataFrame, *, rises: bool) -> str:
    users, rate_rps = used["users"].max(), used["throughput_rps"].max()
    seen = f"{users:,.0f} users and {format_quantity(rate_rps, Dimension.RATE)}"
    if rises:
        return f"Looked at up to {seen}; of higher load nothing is known."
    return f"The load hardly changed (up to {seen}): how throughput and times go with load can't be told."


def _low_load(used: pd.DataFrame) -> tuple[NDArray[np.bool_], bool]:
    """Which windows are at low load, and whether users at least doubled; else it is the first quarter of the time."""
    users = used["users"].to_numpy(dtype=float)
    rises = bool(users.max() >= 2 * max(users.min(), 1.0))
    if rises:
        return users <= users.min() + (users.max() - users.min()) / 4, True
    return np.arange(len(users)) < math.ceil(len(users) / 4), False


def _failures_turn(used: pd.DataFrame, low: NDArray[np.bool_]) -> Turn | None:
    counts = used[["failures", "requests"]].fillna(0).clip(lower=0)
    base = ratio_estimate(int(counts["failures"][low].sum()), int(counts["requests"][low].sum()))
    ratios = [ratio_estimate(int(hits), int(n)) for hits, n in counts.itertuples(index=False)]
    limit = max(_LEAST_RATIO, base.high if base else 0.0)
    beyond = np.array([ratio is not None and ratio.low > limit for ratio in ratios]) & ~low
    index = _twice_in_a_row(beyond)
    if index is None or base is None:
        return None
    share = format_quantity(ratios[index].value, Dimension.RATIO)  # type: ignore[union-attr]  # beyond says so
    what = f"failures began: {share} of the requests, {format_quantity(base.value, Dimension.RATIO)} before"
    return _turn("failures", used, index, what)


def _times_turn(used: pd.DataFrame, low: NDArray[np.bool_], *, cumulative: bool) -> Turn | None:
    word, column = ("the mean response time", "mean_s") if cumulative or 0.95 not in used else ("p95", 0.95)
    times_s = used[column].to_numpy(dtype=float)
    at_low = times_s[low & np.isfinite(times_s)]
    if len(at_low) < 2:
        return None
    level_s = float(np.median(at_low))
    limit_s = 2 * rounded(level_s * 1000, 1).high
    lowest_s = np.array([rounded(value * 1000, 1).low if math.isfinite(value) else 0.0 for value in times_s])
    index = _twice_in_a_row((lowest_s > limit_s) & ~low)
    if index is None:
        return None
    what = f"{word} more than doubled: {format_duration(times_s[index])}, {format_duration(level_s)} at low load"
    return _turn("times", used, index, what)


def _throughput_turn(used: pd.DataFrame) -> Turn | None:
    top = used["users"].max()
    # What comes after the load's last peak is another story: a target that recovers, or does not.
    climb = used.iloc[: int(np.flatnonzero(used["users"] >= top)[-1]) + 1]
    users, rates_rps = climb["users"].to_numpy(dtype=float), climb["throughput_rps"].to_numpy(dtype=float)
    knots = [
        knot
        for knot in np.unique(users)
        if min((users <= knot).sum(), (users > knot).sum()) >= _FEWEST_EACH_SIDE and top >= 1.25 * knot
    ]
    fits = [_bent_line(users, rates_rps, knot) for knot in knots[:: math.ceil(len(knots) / _MOST_KNOTS) or 1]]
    best = min(fits, key=lambda fit: fit.squares, default=None)
    if best is None or not best.is_flat_behind:
        return None
    index = int(np.flatnonzero(users >= best.knot)[0])
    what = (
        f"throughput stopped growing at about {format_quantity(best.at_knot_rps, Dimension.RATE)}, "
        f"while users grew on to {top:,.0f}"
    )
    return _turn("throughput", climb, index, what)


@dataclass(frozen=True)
class _BentLine:
    knot: float
    squares: float
    """Of the residuals."""
    at_lowest_rps: float
    at_knot_rps: float
    before: float
    """Slopes, in requests/s for each user."""
    behind: float
    behind_error: float
    freedom: int

    @property
    def is_flat_behind(self) -> bool:
        """It rose by half before the knot, and behind it the slope's bound is below a quarter of that before."""
        rose = self.before > 0 and self.at_knot_rps >= 1.5 * max(self.at_lowest_rps, 0.0)
        bound = self.behind + t_quantile(_CONFIDENCE, self.freedom) * self.behind_error
        return rose and bound < _FLAT_SLOPE * self.before


def _bent_line(users: NDArray[np.float64], rates_rps: NDArray[np.float64], knot: float) -> _BentLine:
    """Least squares of a + b min(users, knot) + c max(users - knot, 0)."""
    design = np.column_stack((np.ones(len(users)), np.minimum(users, knot), np.maximum(users - knot, 0)))
    solution = np.linalg.lstsq(design, rates_rps, rcond=None)[0]
    squares = float(((rates_rps - design @ solution) ** 2).sum())
    # The knot was chosen too.
    freedom = max(len(users) - 4, 1)
    covariance = np.linalg.pinv(design.T @ design) * squares / freedom
    start, before, behind = (float(part) for part in solution)
    return _BentLine(
        knot=float(knot),
        squares=squares,
        at_lowest_rps=start + before * float(users.min()),
        at_knot_rps=start + before * float(knot),
        before=before,
        behind=behind,
        behind_error=math.sqrt(max(float(covariance[2, 2]), 0.0)),
        freedom=freedom,
    )


def _twice_in_a_row(flags: NDArray[np.bool_]) -> int | None:
    """The first of two neighbours that are both set: one alone may be chance."""
    found = np.flatnonzero(flags[:-1] & flags[1:])
    return int(found[0]) if len(found) else None


def _turn(kind: str, table: pd.DataFrame, index: int, what: str) -> Turn:
    row = table.iloc[index]
    return Turn(kind, float(row["start_s"]), float(row["users"]), what)
