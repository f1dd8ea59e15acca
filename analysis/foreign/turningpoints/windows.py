"""Turns the history of a Locust run into windows: counts and times of each, derived from counts since the start."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import pandas as pd

from loadproof.analysis.estimates.estimate import Estimate, ratio_estimate

if TYPE_CHECKING:
    from loadproof.analysis.foreign.locust.csvfiles import LocustRun

WINDOW_S: Final = 10


def windows(run: LocustRun, width_s: float = WINDOW_S) -> pd.DataFrame:
    """One row per window: start_s, end_s, users, requests, failures, mean_s, throughput_rps, and the quantiles.

    Requests, failures and the mean are differences of the history's totals, which don't lag like its requests/s. A
    quantile is the window's last one, and nan if the history's percentiles cover everything since the start.
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
    # The history's first row only has counts if Locust began before it.
    before.iloc[0] = history[["requests", "failures"]].iloc[0].to_numpy()
    weight_before_s = weight_s.shift(fill_value=float(history["mean_s"].iloc[0] * history["requests"].iloc[0]))
    # If totals fall, they were reset: everything since then belongs to this window.
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


def failure_ratios(used: pd.DataFrame) -> list[Estimate | None]:
    """The failure ratio of each window; None for a window without requests."""
    counts = used[["failures", "requests"]].fillna(0).clip(lower=0)
    return [ratio_estimate(int(hits), int(n)) for hits, n in counts.itertuples(index=False)]
