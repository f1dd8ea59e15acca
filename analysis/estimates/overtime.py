"""Turns a run's cells into per-second series: counts, outcomes, quantiles, means."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import pandas as pd

from loadproof.analysis.estimates.metrics import QUANTILES
from loadproof.analysis.frames.cellsums import among, by_second
from loadproof.histogram import BUCKETS, MIDPOINT_US
from loadproof.outcome import Outcome

if TYPE_CHECKING:
    from loadproof.analysis.frames.traffic import Traffic

_COUNTED: Final = {"response": "sent", "dropped": "dropped", "good": "good"}
"""Series, and what they count."""
_LONG_GAP: Final = 4
"""In multiples of the median step between windows that have answers."""


class OverTime(NamedTuple):
    """A row for each measured second; index: second."""

    counts: pd.DataFrame
    """Columns: offered, sent, dropped, good, by second of intended start."""
    outcomes: pd.DataFrame
    """Columns: all outcomes, by second of intended start."""


def over_time(traffic: Traffic) -> OverTime:
    """Counts and outcomes of each second."""
    cells = traffic.intervals
    sent = by_second(cells[among(cells["series"], ("response",))], "outcome", int(traffic.measured_s))
    return OverTime(counts_over_time(traffic), sent.reindex(columns=list(map(str, Outcome)), fill_value=0))


def counts_over_time(traffic: Traffic) -> pd.DataFrame:
    """The counts of `over_time`."""
    counted = by_second(traffic.intervals, "series", int(traffic.measured_s))
    counts = counted.reindex(columns=list(_COUNTED), fill_value=0).rename(columns=_COUNTED)
    return counts.assign(offered=counts["sent"] + counts["dropped"])


def answered(rows: pd.DataFrame) -> pd.DataFrame:
    """The response times of `ok` answers: columns second, endpoint, bucket, count."""
    chosen = among(rows["series"], ("response",)) & among(rows["outcome"], (Outcome.OK,))
    return rows.loc[chosen, ["second", "endpoint", "bucket", "count"]]


def quantiles_over_time(answers: pd.DataFrame, width_s: int = 1) -> pd.DataFrame:
    """Response-time quantiles in s in windows of `width_s`; index: a window's first second, columns: QUANTILES."""
    if not answers["second"].is_monotonic_increasing:
        answers = answers.sort_values("second")
    window = answers["second"].to_numpy() // width_s
    buckets, counts = answers["bucket"].to_numpy(), answers["count"].to_numpy()
    edges = np.unique([0, *np.flatnonzero(window[1:] != window[:-1]) + 1, window.size])
    windows = window[edges[:-1]]
    values = np.empty((windows.size, len(QUANTILES)))
    for number, (first, last) in enumerate(itertools.pairwise(edges)):
        counted = np.bincount(buckets[first:last], weights=counts[first:last], minlength=BUCKETS)
        cumulative = np.cumsum(counted)
        ranks = np.maximum(np.ceil(np.array(QUANTILES) * cumulative[-1]), 1)
        values[number] = MIDPOINT_US[np.searchsorted(cumulative, ranks)] * 1e-6
    return pd.DataFrame(values, index=windows * width_s, columns=list(QUANTILES), dtype=float)


def times_where_few(answers: pd.DataFrame, fewer_than: int) -> pd.Series:
    """Response times in s, one array for each second with fewer answers than `fewer_than`; index: second."""
    per_second = answers.groupby("second")["count"].transform("sum")
    few = answers[per_second < fewer_than]
    times = {
        second: np.repeat(MIDPOINT_US[rows["bucket"]] * 1e-6, rows["count"]) for second, rows in few.groupby("second")
    }
    return pd.Series(times, dtype=object)


def broken_at_gaps(table: pd.DataFrame) -> pd.DataFrame:
    """The table with an empty row in each unusually long gap, so that no line is drawn across an outage."""
    steps = np.diff(table.index.to_numpy())
    if not steps.size:
        return table
    gaps = np.flatnonzero(steps > _LONG_GAP * np.median(steps))
    unknown = pd.DataFrame(np.nan, index=table.index[gaps] + 1e-3, columns=table.columns)
    return pd.concat([table, unknown]).sort_index() if gaps.size else table


def mean_over_time(answers: pd.DataFrame) -> pd.Series:
    """The mean response time in s of answers, by second."""
    seconds, counts = answers["second"].to_numpy(dtype=np.int64), answers["count"].to_numpy(dtype=np.int64)
    us = np.bincount(seconds, weights=counts * MIDPOINT_US[answers["bucket"].to_numpy(dtype=np.int64)])
    n = np.bincount(seconds, weights=counts)
    answered_in = np.flatnonzero(n)
    return pd.Series(us[answered_in] / n[answered_in] * 1e-6, index=answered_in)
