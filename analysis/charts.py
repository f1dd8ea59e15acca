"""A run to charts: inline SVG that follows the page's colours and never reads text as markup."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import matplotlib as mpl
import numpy as np
from markupsafe import Markup, escape
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from analysis.metrics import QUANTILES, counts_over_time, outcomes_over_time, quantiles_over_time
from loadproof.errors import escaped
from loadproof.outcome import Outcome
from loadproof.units import format_duration

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

    from analysis.frames import Run

logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)

_MOST_POINTS: Final = 400
"""More would add bytes that no screen shows."""
_SIZE_IN: Final = (8.6, 2.5)
_INK, _FAINT, _SHADE = "#010203", "#020304", "#030405"
_LINES: Final = ("#040506", "#050607", "#060708", "#070809", "#08090a", "#090a0b", "#0a0b0c")
_VARIABLES: Final = {_INK: "ink", _FAINT: "faint", _SHADE: "shade"} | {
    colour: f"line-{number}" for number, colour in enumerate(_LINES, start=1)
}
"""Stand-ins that matplotlib draws with, and the CSS variables that they become."""
_STYLE: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": _FAINT,
    "axes.labelcolor": _INK,
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "grid.color": _FAINT,
    "grid.linewidth": 0.4,
    "lines.linewidth": 1.4,
    "legend.frameon": False,
}


def load_chart(run: Run) -> Markup:
    """Offered load, sent requests and goodput per second."""
    table = _thinned(counts_over_time(run))
    with _chart("load", run, "requests per second") as (axes, drawing):
        axes.plot(table.index, table["offered"], color=_LINES[2], linestyle=":", label="offered")
        axes.plot(table.index, table["sent"], color=_LINES[0], label="sent")
        axes.plot(table.index, table["good"], color=_LINES[1], linestyle="--", label="goodput")
        axes.set_ylim(bottom=0)
        drawing.legend(axes)
    return drawing.svg("Offered load, sent requests and goodput per second")


def response_chart(run: Run) -> Markup | None:
    """Quantiles of the response time of ok answers, on a log scale; None without such answers."""
    table = quantiles_over_time(run, width_s=_width_s(run)) * 1000
    if table.empty:
        return None
    with _chart("response", run, "response time") as (axes, drawing):
        for quantile, colour, style in zip(QUANTILES, (_LINES[1], _LINES[0], _LINES[3]), ("--", "-", ":"), strict=True):
            axes.plot(table.index, table[quantile], color=colour, linestyle=style, label=f"p{quantile * 100:g}")
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda ms, _: format_duration(ms / 1000)))
        axes.yaxis.set_minor_formatter(NullFormatter())
        drawing.legend(axes)
    return drawing.svg("Median, 95th and 99th percentile of the response time of ok answers over time")


def outcomes_chart(run: Run) -> Markup | None:
    """Requests that did not end ok, stacked by outcome; None when all did."""
    table = outcomes_over_time(run).drop(columns=str(Outcome.OK))
    table = _thinned(table.loc[:, table.sum() > 0])
    if table.empty or not len(table.columns):
        return None
    hatches = ("", "//", "..", "xx", "\\\\", "++")
    with _chart("outcomes", run, "requests per second") as (axes, drawing):
        areas = axes.stackplot(table.index, table.to_numpy().T, labels=list(table.columns), colors=_LINES, step="mid")
        for area, hatch in zip(areas, hatches, strict=False):
            area.set_hatch(hatch)
            area.set_edgecolor(_SHADE)
        drawing.legend(axes)
    return drawing.svg("Requests that did not end ok, by outcome, per second")


def generator_chart(run: Run) -> Markup | None:
    """The generator's CPU share, and how late it sent; None without samples."""
    if run.generator.empty:
        return None
    seconds = run.generator.groupby("second")
    cpu = _thinned((seconds["cpu_ratio"].max() * 100).to_frame())
    lag = _thinned((seconds["lag_p99_s"].max() * 1000).to_frame())
    with _chart("generator", run, "CPU, % of a core") as (axes, drawing):
        lines = axes.plot(cpu.index, cpu.iloc[:, 0], color=_LINES[0], label="CPU")
        axes.set_ylim(0, max(100.0, float(cpu.iloc[:, 0].max())))
        right = axes.twinx()
        right.spines["right"].set_visible(True)
        right.set_ylabel("start lag, ms")
        lines += right.plot(lag.index, lag.iloc[:, 0], color=_LINES[3], linestyle="--", label="p99 start lag")
        right.set_ylim(bottom=0)
        drawing.legend(axes, lines)
    return drawing.svg("CPU share of the busiest worker and 99th percentile of its start lag per second")


def target_chart(run: Run) -> Markup | None:
    """The target's memory, and its CPU share; None without samples."""
    memory = run.target[run.target["metric"] == "process_resident_memory_bytes"]
    cpu = run.target[run.target["metric"] == "process_cpu_seconds_total"]
    if len(memory) < 2 or len(cpu) < 2:
        return None
    step = max(1, len(memory) // _MOST_POINTS)
    share = 100 * np.diff(cpu["value"].to_numpy()[::step]) / np.diff(cpu["time_s"].to_numpy()[::step])
    with _chart("target", run, "memory, MiB") as (axes, drawing):
        lines = axes.plot(memory["time_s"][::step], memory["value"][::step] / 2**20, color=_LINES[1], label="memory")
        axes.set_ylim(0, 1.15 * float(memory["value"].max()) / 2**20)
        right = axes.twinx()
        right.spines["right"].set_visible(True)
        right.set_ylabel("CPU, % of a core")
        lines += right.plot(cpu["time_s"].to_numpy()[::step][1:], share, color=_LINES[0], linestyle="--", label="CPU")
        right.set_ylim(bottom=0)
        drawing.legend(axes, lines)
    return drawing.svg("Resident memory and CPU share of the target over time")


class _Drawing:
    def __init__(self, name: str) -> None:
        self._name = name
        self.figure = Figure(figsize=_SIZE_IN, layout="constrained")
        FigureCanvasSVG(self.figure)

    @staticmethod
    def legend(axes: Axes, lines: list[Line2D] | None = None) -> None:
        """Above the plot and the phases' names, where it hides nothing."""
        axes.legend(handles=lines, loc="lower left", bbox_to_anchor=(0, 1.1), ncols=7, borderaxespad=0.2)

    def svg(self, description: str) -> Markup:
        """The chart as an element of the page, with ids of its own and the page's colours and font."""
        with mpl.rc_context({**_STYLE, "svg.hashsalt": self._name}):
            buffer = io.StringIO()
            metadata: Mapping[str, None] = {"Date": None, "Creator": None, "Format": None, "Type": None}
            self.figure.savefig(buffer, format="svg", transparent=True, metadata=dict(metadata))
        text = buffer.getvalue()
        text = text[text.index("<svg") :]
        text = re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{self._name}-", text)
        text = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font: \1 var(--font)", text)
        for colour, variable in _VARIABLES.items():
            text = text.replace(colour, f"var(--{variable})")
        head = f'<svg role="img" aria-label="{escape(description)}" '
        # Without its own width and height the chart takes the width of the page.
        text = re.sub(r' (width|height)="[\d.]+pt"', "", text, count=2).replace("<svg ", head, 1)
        return Markup(text)  # noqa: S704 - matplotlib escapes what it writes


@contextmanager
def _chart(name: str, run: Run, label: str) -> Iterator[tuple[Axes, _Drawing]]:
    """Axes over the run's time with its phases shaded and its bursts and mishaps marked."""
    with mpl.rc_context({**_STYLE, "svg.hashsalt": name}):
        drawing = _Drawing(name)
        axes = drawing.figure.add_subplot()
        axes.set_ylabel(label)
        axes.grid(visible=True, axis="y")
        end_s = max(run.measured_s, 1.0)
        axes.set_xlim(0, end_s)
        axes.set_xlabel("seconds from the start")
        for number, span in enumerate(run.manifest.phases):
            if span.start_s >= end_s:
                continue
            if number % 2 == 0:
                axes.axvspan(span.start_s, min(span.end_s, end_s), color=_SHADE, linewidth=0)
            middle_s = (span.start_s + min(span.end_s, end_s)) / 2
            name_shown = escaped(span.name)
            place = axes.get_xaxis_transform()
            axes.text(middle_s, 1.02, name_shown, transform=place, ha="center", va="bottom", fontsize=8)
            for at_s in span.bursts_s:
                axes.axvline(at_s, color=_FAINT, linestyle=":", linewidth=0.8)
        yield axes, drawing


def _width_s(run: Run) -> int:
    return max(1, int(np.ceil(run.measured_s / _MOST_POINTS)))


def _thinned(table: pd.DataFrame) -> pd.DataFrame:
    """Means over windows, where there are more seconds than a screen shows."""
    width = max(1, int(np.ceil(len(table) / _MOST_POINTS)))
    return table if width == 1 else table.groupby(table.index // width * width).mean()
