"""Checks that the history's percentiles leave room for the totals' percentiles.

If in every ten seconds of a run a fifth of the requests took longer than some time, so did a fifth of all requests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from loadproof.analysis.foreign.locust.entries import rounded
from loadproof.analysis.foreign.locust.upsets import TOTAL

if TYPE_CHECKING:
    import pandas as pd

    from loadproof.analysis.foreign.locust.csvfiles import LocustRun
    from loadproof.scenario.thresholds.expectation import Expectation

_WINDOW_S: Final = 10
_LEAST_ROWS: Final = 10
_FACTOR: Final = 1.5
"""Only deny a percentile if this many times more requests are above it than it allows: windows are inexact."""


def percentile_denied(expectation: Expectation, run: LocustRun) -> str | None:
    """Why a percentile of all endpoints together can't be as low as the totals say; None if it can.

    If a row has time t at a lower quantile q, a share of at least 1 - q of its requests took t or longer. If that holds
    in every row, and the rows cover most requests, too many took t or longer for the higher quantile to be below it.
    """
    quantile, total = expectation.metric.quantile, run.total
    rows = _of_the_totals(run)
    if quantile is None or total is None or quantile not in total.quantiles or len(rows) < _LEAST_ROWS:
        return None
    lower = [place for place in map(float, run.percentiles) if place in rows and place < quantile]
    if not lower or total.quantiles[quantile].n == 0:
        return None
    column: float = max(lower)
    used = rows[rows[column].notna()]
    if len(used) < _LEAST_ROWS:
        return None
    least_ms = 1000 * float(used[column].min())
    slow = _covered(used, cumulative=run.cumulative) * (1 - column)
    allowed = total.requests * (1 - quantile) + 1
    if rounded(least_ms, 1).low <= total.quantiles[quantile].high or slow <= _FACTOR * allowed:
        return None
    return (
        f"in each row of the history file {100 * column:.10g}% is {least_ms:,.10g} ms or more, "
        f"which leaves no room for {100 * quantile:.10g}% in the stats file"
    )


def _of_the_totals(run: LocustRun) -> pd.DataFrame:
    """The history's rows since the last run, or the last reset, began."""
    falls = run.upsets.falls.get(TOTAL, ())
    since_s = max([run.last_run_s, *(fall.after.at_s for fall in falls)])
    return run.history[run.history["time_s"] >= since_s]


def _covered(used: pd.DataFrame, *, cumulative: bool) -> float:
    """The least number of requests that these rows' percentiles cover."""
    if cumulative:
        return float(used["requests"].iloc[-1])
    if float(used["time_s"].diff().max()) > _WINDOW_S / 2:
        return 0.0
    return float(used["requests"].iloc[-1] - used["requests"].iloc[0])
