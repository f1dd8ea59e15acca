"""Compares the totals' percentiles with those of the history, which have to leave room for them.

If each ten seconds of a run had a fifth of its requests above some time, a fifth of all of them were.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from loadproof.analysis.foreign.locustentries import rounded
from loadproof.analysis.foreign.locustupsets import TOTAL

if TYPE_CHECKING:
    import pandas as pd

    from loadproof.analysis.foreign.locustcsv import LocustRun
    from loadproof.scenario.expectation import Expectation

_WINDOW_S: Final = 10
_LEAST_ROWS: Final = 10
_FACTOR: Final = 1.5
"""By how much more requests than a percentile allows for must have been above it: windows don't end on the second."""


def percentile_denied(expectation: Expectation, run: LocustRun) -> str | None:
    """Why a percentile of all endpoints together can't be as low as the totals say.

    A row with a time t at a lower quantile has a share of at least one minus that quantile of its requests at t or
    above. If that is so in every row, and the rows cover most requests, too many are there for the higher quantile.
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
    """The rows since the last run, or the last reset, began."""
    falls = run.upsets.falls.get(TOTAL, ())
    since_s = max([run.last_run_s, *(fall.after.at_s for fall in falls)])
    return run.history[run.history["time_s"] >= since_s]


def _covered(used: pd.DataFrame, *, cumulative: bool) -> float:
    """How many requests these rows' percentiles are of, at least."""
    if cumulative:
        return float(used["requests"].iloc[-1])
    if float(used["time_s"].diff().max()) > _WINDOW_S / 2:
        return 0.0
    return float(used["requests"].iloc[-1] - used["requests"].iloc[0])
