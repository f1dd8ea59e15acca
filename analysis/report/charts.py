"""Draws a run's charts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from loadproof.analysis.estimates.metrics import QUANTILES
from loadproof.analysis.estimates.overtime import answered, broken_at_gaps, quantiles_over_time
from loadproof.analysis.frames.cellsums import histogram
from loadproof.analysis.frames.faults import faults_in
from loadproof.analysis.report.drawing import (
    FAINT,
    INK,
    LINES,
    MOST_POINTS,
    SHADE,
    Drawing,
    chart,
    log_durations,
    right_axes,
    stacked,
    thinned,
)
from loadproof.analysis.report.heatmap import draw_heat
from loadproof.analysis.report.plotting import NullFormatter
from loadproof.errors import escaped
from loadproof.histogram import MIDPOINT_US
from loadproof.outcome import Outcome
from loadproof.rundir.rows import FAULT_EVENTS

if TYPE_CHECKING:
    import pandas as pd
    from markupsafe import Markup
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from loadproof.analysis.frames.faults import Happened
    from loadproof.analysis.frames.run import Run
    from loadproof.analysis.frames.traffic import Traffic


def load_chart(traffic: Traffic, counts: pd.DataFrame) -> Markup:
    """Offered load, sent requests and goodput per second."""
    table = thinned(counts)
    with _chart("load", traffic, "requests per second") as (axes, drawing):
        axes.plot(table.index, table["offered"], color=LINES[2], linestyle=":", label="offered")
        axes.plot(table.index, table["sent"], color=LINES[0], label="sent")
        axes.plot(table.index, table["good"], color=LINES[1], linestyle="--", label="goodput")
        axes.set_ylim(bottom=0)
        drawing.legend(axes)
    return drawing.svg("Offered load, sent requests and goodput per second")


def throughput_chart(traffic: Traffic, counts: pd.DataFrame) -> Markup:
    """Requests and ok answers per second of a log."""
    table = thinned(counts)
    with _chart("throughput", traffic, "requests per second") as (axes, drawing):
        axes.plot(table.index, table["sent"], color=LINES[0], label="requests")
        axes.plot(table.index, table["good"], color=LINES[1], linestyle="--", label="ok")
        axes.set_ylim(bottom=0)
        drawing.legend(axes)
    return drawing.svg("Requests and ok responses per second")


def heat_chart(traffic: Traffic, answers: pd.DataFrame) -> Markup | None:
    """A heat map of the response times of ok answers, with quantiles; None without ok answers."""
    table = broken_at_gaps(quantiles_over_time(answers, width_s=_width_s(traffic)) * 1000)
    if table.empty:
        return None
    with _chart("heat", traffic, "response time") as (axes, drawing):
        draw_heat(axes, answers, end_s=traffic.measured_s)
        for quantile, style in zip(QUANTILES, ("--", "-", ":"), strict=True):
            axes.plot(table.index, table[quantile], color=INK, linestyle=style, label=f"p{quantile * 100:g}")
        log_durations(axes)
        drawing.legend(axes)
    return drawing.svg("Heat map of the response times of ok responses, with their median, 95th and 99th percentile")


def endpoints_chart(traffic: Traffic, answers: pd.DataFrame, endpoints: Sequence[str]) -> Markup | None:
    """The p95 over time of the first endpoints, as many as there are colours; None without ok answers."""
    return _p95_chart("endpoint", traffic, answers, endpoints)


def groups_chart(run: Run) -> Markup | None:
    """Like `endpoints_chart`, for groups of requests."""
    return _p95_chart("group", run, answered(run.groups), run.of_groups.endpoints)


def _p95_chart(of: str, traffic: Traffic, answers: pd.DataFrame, endpoints: Sequence[str]) -> Markup | None:
    if answers.empty:
        return None
    with _chart(f"{of}s", traffic, "p95 response time") as (axes, drawing):
        for number, endpoint in enumerate(endpoints[: len(LINES)]):
            own = answers[answers["endpoint"] == endpoint]
            table = broken_at_gaps(quantiles_over_time(own, width_s=_width_s(traffic)) * 1000)
            style = ("-", "--", ":", "-.")[number % 4]
            axes.plot(table.index, table[0.95], color=LINES[number], linestyle=style, label=escaped(endpoint))
        log_durations(axes)
        drawing.legend(axes)
    return drawing.svg(f"95th percentile of the response time of ok responses of each {of} over time")


def spectrum_chart(
    counts: Mapping[str, NDArray[np.int64]], groups: Mapping[str, NDArray[np.int64]] | None = None
) -> Markup | None:
    """Response and service time by quantile, with the axis stretched towards the slowest; None without ok answers.

    `counts` come from `spectrum_of`, `groups` from `spectra_of_groups`: as many are drawn as there are colours left.
    """
    n = int(counts["response"].sum())
    if not n:
        return None
    series = {f"{name} time": counted for name, counted in counts.items()}
    series |= {f"group {escaped(name)}": counted for name, counted in (groups or {}).items()}
    with chart("spectrum", "time") as (axes, drawing):
        # A request log has no service times.
        drawn = [(name, counted) for name, counted in series.items() if counted.sum()]
        for number, ((name, counted), colour) in enumerate(zip(drawn, LINES, strict=False)):
            # The slowest of n answers is one in n.
            odds = np.geomspace(1, counted.sum(), 200)
            ranks = np.clip(np.ceil((1 - 1 / odds) * counted.sum()), 1, counted.sum())
            times = MIDPOINT_US[np.searchsorted(np.cumsum(counted), ranks)] / 1000
            axes.plot(odds, times, color=colour, linestyle=("-", "--", ":", "-.")[number % 4], label=name)
        axes.set_xscale("log")
        shown = [one for one in (1, 2, 10, 20, 100, 1000, 10_000, 100_000, 1_000_000) if one <= n]
        axes.set_xticks(shown, ["0" if one == 1 else f"p{100 - 100 / one:.6g}" for one in shown], minor=False)
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("percentile (one in N is slower)")
        log_durations(axes)
        drawing.legend(axes)
    return drawing.svg("Response and service time of ok responses by quantile, on a log scale of 1/(1-q)")


def spectrum_of(traffic: Traffic) -> dict[str, NDArray[np.int64]]:
    """Histograms of the response and service times of ok answers, without warm-up."""
    rows = _without_warm_up(traffic, traffic.intervals)
    return {series: histogram(rows, series, Outcome.OK) for series in ("response", "service")}


def spectra_of_groups(run: Run) -> dict[str, NDArray[np.int64]]:
    """Histograms of the response times of each group that ended ok, without warm-up."""
    rows = _without_warm_up(run, run.groups)
    of = {name: rows[rows["endpoint"] == name] for name in run.of_groups.endpoints}
    counts = {name: histogram(own, "response", Outcome.OK) for name, own in of.items()}
    return {name: counted for name, counted in counts.items() if counted.sum()}


def _without_warm_up(traffic: Traffic, cells: pd.DataFrame) -> pd.DataFrame:
    warm_up = [span.name for span in traffic.phases if span.warm_up]
    return cells[~cells["phase"].isin(warm_up)] if warm_up else cells


def outcomes_chart(traffic: Traffic, outcomes: pd.DataFrame) -> Markup | None:
    """Requests that did not end ok, stacked by outcome; None if all did."""
    table = outcomes.drop(columns=str(Outcome.OK))
    table = thinned(table.loc[:, table.sum() > 0])
    if table.empty or not len(table.columns):
        return None
    with _chart("outcomes", traffic, "requests per second") as (axes, drawing):
        stacked(axes, table, step="mid")
        drawing.legend(axes)
    return drawing.svg("Requests that did not end ok, by outcome, per second")


def generator_chart(run: Run) -> Markup | None:
    """The generator's CPU share, and how late it sent; None without samples."""
    if run.generator.empty:
        return None
    seconds = run.generator.groupby("second")
    cpu = thinned((seconds["cpu_ratio"].max() * 100).to_frame())
    lag = thinned((seconds["lag_p99_s"].max() * 1000).to_frame())
    with _chart("generator", run, "CPU, % of a core") as (axes, drawing):
        lines = axes.plot(cpu.index, cpu.iloc[:, 0], color=LINES[0], label="CPU")
        axes.set_ylim(0, max(100.0, float(cpu.iloc[:, 0].max())))
        right = right_axes(axes, "start lag, ms")
        lines += right.plot(lag.index, lag.iloc[:, 0], color=LINES[3], linestyle="--", label="p99 start lag")
        right.set_ylim(bottom=0)
        drawing.legend(axes, lines)
    return drawing.svg("CPU share of the busiest worker and 99th percentile of its start lag per second")


def target_chart(run: Run) -> Markup | None:
    """The target's memory, and its CPU share; None without samples."""
    memory = run.target[run.target["metric"] == "process_resident_memory_bytes"]
    cpu = run.target[run.target["metric"] == "process_cpu_seconds_total"]
    if len(memory) < 2 or len(cpu) < 2:
        return None
    step = max(1, len(memory) // MOST_POINTS)
    share = 100 * np.diff(cpu["value"].to_numpy()[::step]) / np.diff(cpu["time_s"].to_numpy()[::step])
    with _chart("target", run, "memory, MiB") as (axes, drawing):
        lines = axes.plot(memory["time_s"][::step], memory["value"][::step] / 2**20, color=LINES[1], label="memory")
        axes.set_ylim(0, 1.15 * float(memory["value"].max()) / 2**20)
        right = right_axes(axes, "CPU, % of a core")
        lines += right.plot(cpu["time_s"].to_numpy()[::step][1:], share, color=LINES[0], linestyle="--", label="CPU")
        right.set_ylim(bottom=0)
        drawing.legend(axes, lines)
    return drawing.svg("Resident memory and CPU share of the target over time")


@contextmanager
def _chart(name: str, traffic: Traffic, label: str) -> Iterator[tuple[Axes, Drawing]]:
    """Axes over the run's time, with its phases shaded and its bursts and mishaps marked."""
    end_s = max(traffic.measured_s, 1.0)
    with chart(name, label, end_s=end_s) as (axes, drawing):
        for number, span in enumerate(traffic.phases):
            if span.start_s >= end_s:
                continue
            if number % 2 == 0:
                axes.axvspan(span.start_s, min(span.end_s, end_s), color=SHADE, linewidth=0)
            middle_s = (span.start_s + min(span.end_s, end_s)) / 2
            name_shown = escaped(span.name)
            place = axes.get_xaxis_transform()
            axes.text(middle_s, 1.02, name_shown, transform=place, ha="center", va="bottom", fontsize=8)
            for at_s in span.bursts_s:
                axes.axvline(at_s, color=FAINT, linestyle=":", linewidth=0.8)
        for fault in faults_in(traffic):
            _mark(axes, fault, end_s)
        for at_s, kind in _mishaps(traffic):
            axes.axvline(at_s, color=LINES[3], linestyle="--", linewidth=0.8)
            place = axes.get_xaxis_transform()
            axes.text(at_s, 0.97, f" {kind}", transform=place, va="top", fontsize=8, color=LINES[3])
        yield axes, drawing


def _mark(axes: Axes, fault: Happened, end_s: float) -> None:
    """Mark a fault from its begin to its end, with its name."""
    if fault.began_s is None or fault.began_s >= end_s:
        return
    until_s = min(end_s if fault.ended_s is None else fault.ended_s, end_s)
    axes.axvspan(fault.began_s, until_s, color=LINES[3], alpha=0.15, linewidth=0)
    place = axes.get_xaxis_transform()
    axes.text(fault.began_s, 0.9, f" {escaped(fault.text)}", transform=place, va="top", fontsize=8, color=LINES[3])


def _mishaps(traffic: Traffic) -> list[tuple[float, str]]:
    """What interrupted the run: a target's death, a stop, a violated threshold, lost workers."""
    events = traffic.events[~traffic.events["kind"].isin(["phase", "burst", "failure", *FAULT_EVENTS])]
    kinds = [escaped(str(kind)).replace("_", " ") for kind in events["kind"]]
    return list(zip(events["time_s"].tolist(), kinds, strict=True))


def _width_s(traffic: Traffic) -> int:
    return max(1, int(np.ceil(traffic.measured_s / MOST_POINTS)))
