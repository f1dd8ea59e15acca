"""Draws a comparison: its shift functions, and its runs in the order in which they started."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from loadproof.analysis.report.drawing import FAINT, INK, LINES, SHADE, chart, log_durations
from loadproof.errors import escaped

if TYPE_CHECKING:
    from markupsafe import Markup

    from loadproof.analysis.compare.comparedrow import ComparedRow
    from loadproof.analysis.compare.comparison import Comparison
    from loadproof.analysis.compare.shift import Shift


def shift_chart(shift: Shift, margin: float, number: int) -> Markup:
    """How much slower each quantile is, in %, with its interval; changes that don't matter are shaded."""
    percent = 100 * shift.quantiles
    with chart(f"shift-{number}", "slower by, %") as (axes, drawing):
        axes.axhspan(100 * (1 / (1 + margin) - 1), 100 * margin, color=SHADE, linewidth=0)
        axes.axhline(0, color=FAINT, linewidth=0.8)
        axes.fill_between(percent, 100 * shift.low, 100 * shift.high, color=LINES[0], alpha=0.25, linewidth=0)
        axes.plot(percent, 100 * shift.ratio, color=LINES[0], marker="o", markersize=3, label="candidate")
        axes.set_xlim(0, 100)
        axes.set_xlabel("percentile")
    place = f"{escaped(shift.endpoint)} in {escaped(shift.phase)}"
    return drawing.svg(f"By how much each percentile of the response time of {place} changed")


def runs_chart(comparison: Comparison, row: ComparedRow) -> Markup | None:
    """One row's value in each run, in the order in which they started; None if it isn't a time."""
    if not row.metric.kind.reads_times:
        return None
    sides = {"baseline": comparison.baseline, "candidate": comparison.candidate}
    runs = sorted(
        ((run.manifest.start_unix_s, name, run) for name, side in sides.items() for run in side),
        key=lambda each: each[:2],
    )
    with chart("runs", f"{row.row.metric}, response time") as (axes, drawing):
        for name, colour, marker in (("baseline", LINES[2], "o"), ("candidate", LINES[0], "s")):
            points = [
                (place, run.estimates[row.row])
                for place, (_, side, run) in enumerate(runs, start=1)
                if side == name and row.row in run.estimates
            ]
            if not points:
                continue
            places, estimates = zip(*points, strict=True)
            values = 1000 * np.array([estimate.value for estimate in estimates])
            axes.plot(places, values, color=colour, marker=marker, linestyle="", label=name)
            mean = row.baseline if name == "baseline" else row.candidate
            if mean is not None:
                axes.axhline(1000 * mean.value, color=colour, linewidth=0.8, linestyle="--")
        log_durations(axes)
        axes.set_xlabel("runs in the order of their starts")
        axes.tick_params(labelcolor=INK)
        drawing.legend(axes)
    return drawing.svg(f"{row.row.metric} of each run of baseline and candidate, in the order of their starts")
