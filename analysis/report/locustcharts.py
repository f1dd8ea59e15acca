"""Draws the charts of a Locust run's history."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from loadproof.analysis.estimates.metrics import QUANTILES
from loadproof.analysis.foreign.turningpoints.windows import windows
from loadproof.analysis.report.drawing import FAINT, LINES, MOST_POINTS, chart, log_durations, right_axes

if TYPE_CHECKING:
    import pandas as pd
    from markupsafe import Markup
    from matplotlib.axes import Axes

    from loadproof.analysis.foreign.locust.csvfiles import LocustRun
    from loadproof.analysis.foreign.turningpoints.looks import TurningPoint

_NARROWEST_S: Final = 3
"""Workers report to a Locust master every 3 s: narrower windows would show that instead of the load."""


def windows_drawn(run: LocustRun) -> pd.DataFrame:
    """The windows that the charts over time show."""
    return windows(run, width_s(run))


def width_s(run: LocustRun) -> int:
    """The width of the windows in the charts over time, in s."""
    return max(_NARROWEST_S, math.ceil(run.duration_s / MOST_POINTS))


def users_chart(run: LocustRun, table: pd.DataFrame, turns: tuple[TurningPoint, ...]) -> Markup | None:
    """Users and requests per second; None without a history of two windows."""
    if len(table) < 2:
        return None
    with chart("load", "requests per second", end_s=_end_s(run)) as (axes, drawing):
        lines = axes.plot(_middle_s(table), table["throughput_rps"], color=LINES[0], label="requests/s")
        axes.set_ylim(bottom=0)
        right = right_axes(axes, "users")
        lines += right.plot(_middle_s(table), table["users"], color=LINES[2], linestyle=":", label="users")
        right.set_ylim(bottom=0)
        _mark(axes, turns)
        drawing.legend(axes, lines)
    return drawing.svg("Requests per second and users over time")


def times_chart(run: LocustRun, table: pd.DataFrame, turns: tuple[TurningPoint, ...]) -> Markup | None:
    """The history's worst percentiles and the mean of each window; None if there are none."""
    width = width_s(run)
    means = table.dropna(subset=["mean_s"])
    history = run.history.groupby(run.history["time_s"] // width * width).max()
    columns = [quantile for quantile in QUANTILES if quantile in history and history[quantile].notna().any()]
    if means.empty or not (columns or (means["mean_s"] > 0).any()):
        return None
    suffix = ", since the start" if run.cumulative else ""
    with chart("times", "response time", end_s=_end_s(run)) as (axes, drawing):
        for quantile, colour, style in zip(QUANTILES, (LINES[1], LINES[0], LINES[3]), ("--", "-", ":"), strict=True):
            if quantile in columns:
                times_ms = _positive(history[quantile] * 1000)
                axes.plot(history["time_s"], times_ms, color=colour, linestyle=style, label=_title(quantile, suffix))
        axes.plot(_middle_s(means), _positive(means["mean_s"] * 1000), color=LINES[2], linewidth=1, label="mean")
        log_durations(axes)
        _mark(axes, turns)
        drawing.legend(axes)
    return drawing.svg("Percentiles and mean of the response time over time")


def failures_chart(run: LocustRun, table: pd.DataFrame, turns: tuple[TurningPoint, ...]) -> Markup | None:
    """Failures per second; None if there were none."""
    if len(table) < 2 or not (table["failures"] > 0).any():
        return None
    with chart("failures", "failures per second", end_s=_end_s(run)) as (axes, drawing):
        rates_rps = table["failures"] / (table["end_s"] - table["start_s"])
        axes.fill_between(_middle_s(table), rates_rps, color=LINES[3], alpha=0.3, linewidth=0)
        axes.plot(_middle_s(table), rates_rps, color=LINES[3], label="failures/s")
        axes.set_ylim(bottom=0)
        _mark(axes, turns)
        drawing.legend(axes)
    return drawing.svg("Failures per second over time")


def against_load_chart(run: LocustRun) -> Markup | None:
    """Response time (p95, or the mean) and throughput by users, in windows of ten seconds.

    None if there are fewer than three.
    """
    table = windows(run)
    column, word = ("mean_s", "mean") if run.cumulative or 0.95 not in table else (0.95, "p95")
    table = table[(table["requests"] > 0) & (table[column] > 0)].sort_values("users")
    if len(table) < 3:
        return None
    step = math.ceil(len(table) / MOST_POINTS)
    table = table.iloc[::step]
    with chart("against-load", f"{word} of 10 s") as (axes, drawing):
        times_ms, rates_rps = table[column] * 1000, table["throughput_rps"]
        lines = axes.plot(table["users"], times_ms, "o", color=LINES[0], markersize=4, label=word)
        log_durations(axes)
        axes.set_xlabel("users")
        axes.set_xlim(left=0)
        right = right_axes(axes, "requests per second")
        lines += right.plot(table["users"], rates_rps, "x", color=LINES[3], markersize=4, label="requests/s")
        right.set_ylim(bottom=0)
        drawing.legend(axes, lines)
    return drawing.svg(f"Response time ({word}) and requests per second against the number of users")


def _title(quantile: float, suffix: str) -> str:
    return f"p{quantile * 100:g}{suffix}"


def _middle_s(table: pd.DataFrame) -> pd.Series[float]:
    return (table["start_s"] + table["end_s"]) / 2


def _positive(times_ms: pd.Series[float]) -> pd.Series[float]:
    """The times, with nan for 0, which a log scale doesn't have."""
    return times_ms.where(times_ms > 0)


def _end_s(run: LocustRun) -> float:
    return max(run.duration_s, 1.0)


def _mark(axes: Axes, turns: tuple[TurningPoint, ...]) -> None:
    """Each turn as a vertical line with its kind above the plot."""
    for at_s in sorted({turn.at_s for turn in turns}):
        kinds = " + ".join(turn.kind for turn in turns if turn.at_s == at_s)
        axes.axvline(at_s, color=FAINT, linestyle="--", linewidth=1)
        place = axes.get_xaxis_transform()
        axes.text(at_s, 1.02, kinds, transform=place, ha="center", va="bottom", fontsize=8)
