"""Draws what load did to a target: load curve, scalability, recovery, drift."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from loadproof.analysis.estimates.metrics import QUANTILES
from loadproof.analysis.report.drawing import (
    FAINT,
    INK,
    LINES,
    SHADE,
    bars,
    chart,
    log_durations,
    log_numbers,
    right_axes,
)
from loadproof.errors import escaped
from loadproof.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markupsafe import Markup

    from loadproof.analysis.estimates.drift import Drift
    from loadproof.analysis.estimates.recovery import Recovery
    from loadproof.analysis.judge.loadcurve import LoadCurve, Scalability, Step


def load_curve_chart(curve: LoadCurve) -> Markup | None:
    """Goodput and quantiles by planned load, and where capacity lies; None without a sound step."""
    loads = [step.load for step in curve.sound]
    if not loads:
        return None
    with chart("curve", "requests per second") as (axes, drawing):
        lines = axes.plot(
            loads, [step.offered_rps for step in curve.sound], color=FAINT, linestyle=":", label="offered"
        )
        lines += axes.plot(loads, [step.goodput_rps for step in curve.sound], "o-", color=LINES[1], label="goodput")
        right = right_axes(axes, "response time")
        for quantile, style in zip(QUANTILES, ("v:", "s--", "^:"), strict=True):
            times = [_ms(step, quantile) for step in curve.sound]
            if not all(map(np.isnan, times)):
                lines += right.plot(loads, times, style, color=LINES[0], markersize=4, label=f"p{quantile * 100:g}")
                log_durations(right)
        # Below the lowest load nothing was tested.
        if curve.broke is not None and curve.held is not None:
            axes.axvspan(curve.held.load, curve.broke.load, color=SHADE)
            middle = (curve.held.load + curve.broke.load) / 2
            axes.text(middle, 1.02, "capacity", transform=axes.get_xaxis_transform(), ha="center", fontsize=8)
        axes.set_xlabel(_load_label(curve))
        axes.set_ylim(bottom=0)
        drawing.legend(axes, lines)
    return drawing.svg("Goodput, and median, 95th and 99th percentile of the response time, against offered load")


def lost_chart(curve: LoadCurve) -> Markup | None:
    """The load that was not goodput, by outcome, as one bar per step; None if all was goodput."""
    table = pd.DataFrame([_lost(step) for step in curve.sound])
    table = table.loc[:, table.sum() > 0]
    if not len(table.columns):
        return None
    with chart("lost", "% of the offered load") as (axes, drawing):
        bars(axes, table, [f"{step.load:,.4g}" for step in curve.sound])
        axes.set_xlabel(_load_label(curve))
        axes.set_ylim(bottom=0)
        drawing.legend(axes)
    return drawing.svg("Offered load that was not goodput, by outcome, at each load that was tested")


def _load_label(curve: LoadCurve) -> str:
    return "concurrent users" if curve.is_closed else "planned arrivals per second"


def _lost(step: Step) -> dict[str, float]:
    counts = step.tally
    late = {"late": counts.outcomes[Outcome.OK] - counts.good}
    wrong = {str(outcome): counts.outcomes[outcome] for outcome in Outcome if outcome is not Outcome.OK}
    lost = {**late, **wrong, "never sent": counts.dropped}
    return {name: 100 * count / max(counts.offered, 1) for name, count in lost.items()}


def scalability_chart(curve: LoadCurve, law: Scalability) -> Markup:
    """Throughput by requests in flight, and the law fitted to it, within the tested range."""
    tested = np.geomspace(*law.tested, 100)
    with chart("scalability", "requests per second") as (axes, drawing):
        in_flight = [step.in_flight for step in curve.sound]
        axes.plot(in_flight, [step.throughput_rps for step in curve.sound], "o", color=LINES[0], label="throughput")
        axes.plot(tested, law.throughput(tested), color=LINES[3], label="Universal Scalability Law")
        log_numbers(axes)
        axes.set_xlabel("requests in flight, on average")
        axes.set_ylim(bottom=0)
        drawing.legend(axes)
    return drawing.svg("Throughput against requests in flight, with the Universal Scalability Law fitted to it")


def recovery_chart(recovery: Recovery, seconds: pd.DataFrame, number: int) -> Markup:
    """Goodput ratio and p95 from the calm phase until it was calm again, with the highest p95 that counts as recovered.

    `seconds` come from `seconds_around`.
    """
    with chart(f"recovery-{number}", "goodput ratio, %") as (axes, drawing):
        lines = axes.plot(seconds.index, 100 * seconds["ratio"], color=LINES[1], label="goodput ratio")
        axes.set_ylim(0, 105)
        right = right_axes(axes, "p95 of a second")
        lines += right.plot(seconds.index, 1000 * seconds["p95"], color=LINES[0], linestyle="--", label="p95")
        bound = right.axhline(
            1000 * recovery.p95_bound_s, color=LINES[3], linestyle=":", label="p95 as before, at most"
        )
        log_durations(right)
        axes.axvspan(recovery.began_s, recovery.ended_s, color=SHADE, linewidth=0)
        axes.axvline(recovery.ended_s, color=FAINT)
        place = axes.get_xaxis_transform()
        axes.text(recovery.ended_s, 1.02, f"{escaped(recovery.trigger)} ends", transform=place, fontsize=8)
        if recovery.took_s is not None:
            axes.axvline(recovery.ended_s + recovery.took_s, color=INK, linestyle="--", linewidth=0.8)
        axes.set_xlabel("seconds from the start")
        axes.set_xlim(float(seconds.index[0]), float(seconds.index[-1]) + 1)
        drawing.legend(axes, [*lines, bound])
    return drawing.svg("Goodput ratio and 95th percentile of the response time from before the disturbance to after it")


def drift_chart(drifts: Sequence[Drift], phase: str, number: int) -> Markup:
    """Each metric that isn't a ratio, in percent of its line's start."""
    shown = [drift for drift in drifts if drift.line[0] > 0 and not drift.metric.name.endswith("_ratio")]
    with chart(f"drift-{number}", "% of the beginning") as (axes, drawing):
        for drift, colour in zip(shown, LINES, strict=False):
            values = 100 * np.array(drift.values) / drift.line[0]
            axes.plot(drift.at_s, values, ".-", color=colour, linewidth=0.9, label=escaped(str(drift.metric)))
        axes.axhline(100, color=FAINT, linewidth=0.8)
        axes.set_xlabel("seconds from the start")
        drawing.legend(axes)
    return drawing.svg(f"What drifted in {phase}: batch values in percent of the beginning")


def _ms(step: Step, quantile: float) -> float:
    estimate = step.response[quantile]
    return estimate.value * 1000 if estimate else float("nan")
