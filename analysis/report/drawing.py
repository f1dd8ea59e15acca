"""Turns a chart into inline SVG that follows the page's colours and never interprets text as markup."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from markupsafe import Markup

from loadproof.analysis.report.plotting import Figure, FigureCanvasSVG, FuncFormatter, LogLocator, NullFormatter, mpl
from loadproof.analysis.report.svg import page_element
from loadproof.units import format_duration

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)

MOST_POINTS: Final = 400
"""More points would only add bytes: no screen shows them."""
_MANY_TICKS: Final = 300
"""The ratio of a log axis's ends beyond which there is only room for its decades."""
_SIZE_IN: Final = (8.6, 2.5)
_LEGEND_CHARACTERS: Final = 110
"""As many as fit in one row."""
_LEGEND_GAP: Final = 9
"""The room for the line next to a name, and for the space between columns, in characters."""
_LONGEST_LABEL: Final = 44
_VARIABLES: Final = ("ink", "faint", "shade", *(f"line-{n}" for n in range(1, 8)), *(f"heat-{n}" for n in range(1, 6)))
"""The page's colours, in CSS."""
_STAND_INS: Final = {variable: f"#{n:02x}{n + 1:02x}{n + 2:02x}" for n, variable in enumerate(_VARIABLES, start=1)}
"""Colours that Matplotlib draws in their place, because it has no variables."""
INK, FAINT, SHADE = (_STAND_INS[variable] for variable in ("ink", "faint", "shade"))
LINES: Final = tuple(colour for variable, colour in _STAND_INS.items() if variable.startswith("line-"))
HEAT: Final = tuple(colour for variable, colour in _STAND_INS.items() if variable.startswith("heat-"))
"""From few to many."""
_HATCHES: Final = ("", "//", "..", "xx", "\\\\", "++")
_STYLE: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": FAINT,
    "grid.linewidth": 0.4,
    "lines.linewidth": 1.4,
    "legend.frameon": False,
}


def _cut(label: str) -> str:
    return label if len(label) <= _LONGEST_LABEL else f"{label[: _LONGEST_LABEL - 1]}…"


class Drawing:
    def __init__(self, name: str) -> None:
        self._name = name
        self.figure = Figure(figsize=_SIZE_IN, layout="constrained")
        FigureCanvasSVG(self.figure)

    @staticmethod
    def legend(axes: Axes, lines: list[Line2D] | None = None) -> None:
        """Draw a legend above the plot and the phases' names, where it hides nothing, in as many columns as fit."""
        shown = lines or axes.get_legend_handles_labels()[0]
        labels = [_cut(str(line.get_label())) for line in shown]
        widest = max(map(len, labels), default=0)
        columns = max(1, _LEGEND_CHARACTERS // (_LEGEND_GAP + widest))
        where: Any = {"loc": "lower left", "bbox_to_anchor": (0, 1.1), "borderaxespad": 0.2}
        axes.legend(shown, labels, ncols=columns, **where)

    def svg(self, description: str) -> Markup:
        """The chart as an element of the page, with unique ids and the page's colours and font.

        The values of its lines follow as JSON, for the page's script.
        """
        lines = [line for axes in self.figure.axes for line in axes.get_lines() if _is_named(line)]
        for number, line in enumerate(lines):
            line.set_gid(f"series-{number}")
        with mpl.rc_context({**_STYLE, "svg.hashsalt": self._name}):
            buffer = io.StringIO()
            metadata: Mapping[str, None] = {"Date": None, "Creator": None, "Format": None, "Type": None}
            self.figure.savefig(buffer, format="svg", transparent=True, metadata=dict(metadata))
        colours = {colour: variable for variable, colour in _STAND_INS.items()}
        text = page_element(buffer.getvalue(), name=self._name, description=description, colours=colours)
        return Markup(text + self._values(lines))  # noqa: S704 - ElementTree and json.dumps escape what they write

    def _values(self, lines: list[Line2D]) -> str:
        """The plot's position in the picture, its x axis, and the lines' points as displayed, as JSON."""
        axes = self.figure.axes[0]
        place = axes.get_position()
        values = {
            "left": round(place.x0, 4),
            "right": round(place.x1, 4),
            "from": float(axes.get_xlim()[0]),
            "to": float(axes.get_xlim()[1]),
            "log": axes.get_xscale() == "log",
            "unit": axes.get_xlabel(),
            "series": [_points(line) for line in lines],
        }
        # A text must not close the element that contains it.
        packed = json.dumps(values, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
        return f'<script type="application/json">{packed}</script>'


def _is_named(line: Line2D) -> bool:
    return not str(line.get_label()).startswith("_")


def _points(line: Line2D) -> dict[str, object]:
    """The line's name, and x and y of its finite points."""
    xs, ys = np.asarray(line.get_xdata(), dtype=float), np.asarray(line.get_ydata(), dtype=float)
    known = np.isfinite(xs) & np.isfinite(ys)
    axes = line.axes
    is_time = axes is not None and axes.get_yscale() == "log"
    told = [format_duration(y / 1000) if is_time else f"{y:,.4g}" for y in ys[known].tolist()]
    return {"name": str(line.get_label()), "x": [round(x, 3) for x in xs[known].tolist()], "y": told}


@contextmanager
def chart(name: str, label: str, *, end_s: float | None = None) -> Iterator[tuple[Axes, Drawing]]:
    """Axes with a grid and a labelled y axis; over seconds from the start to `end_s`, if given."""
    with mpl.rc_context({**_STYLE, "svg.hashsalt": name}):
        drawing = Drawing(name)
        axes = drawing.figure.add_subplot()
        axes.set_ylabel(label)
        axes.grid(visible=True, axis="y")
        if end_s is not None:
            axes.set_xlim(0, end_s)
            axes.set_xlabel("seconds from the start")
        yield axes, drawing


def right_axes(axes: Axes, label: str) -> Axes:
    """A second y axis over the same x."""
    right = axes.twinx()
    right.spines["right"].set_visible(True)
    right.set_ylabel(label)
    return right


def log_durations(axes: Axes) -> None:
    """Format the y axis for times in ms that are already drawn: logarithmic, unless all of them are 0."""
    if np.isfinite(axes.dataLim.minposy):
        axes.set_yscale("log")
        low, high = axes.get_ylim()
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < _MANY_TICKS else (1,)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda ms, _: format_duration(ms / 1000)))
    axes.yaxis.set_minor_formatter(NullFormatter())


def log_numbers(axes: Axes) -> None:
    """Format the x axis for numbers that are already drawn: logarithmic, unless all of them are 0."""
    if np.isfinite(axes.dataLim.minposx):
        axes.set_xscale("log")
        low, high = axes.get_xlim()
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < _MANY_TICKS else (1,)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:,.6g}"))
    # Its default labels would be TeX, which isn't typeset here.
    axes.xaxis.set_minor_formatter(NullFormatter())


def bars(axes: Axes, table: pd.DataFrame, names: list[str]) -> None:
    """One bar per row with the columns stacked, and gaps in between, where nothing was measured."""
    axes.set_axisbelow(True)
    bottom = np.zeros(len(table))
    for column, colour, hatch in zip(table.columns, LINES, (*_HATCHES, ""), strict=False):
        heights = table[column].to_numpy()
        axes.bar(range(len(table)), heights, 0.6, bottom, label=column, color=colour, hatch=hatch, edgecolor=SHADE)
        bottom += heights
    axes.set_xticks(range(len(table)), names)


def stacked(axes: Axes, table: pd.DataFrame, *, step: Literal["mid"] | None = None) -> None:
    """Stacked areas, one per column, over the index; distinguishable without colour too."""
    areas = axes.stackplot(table.index, table.to_numpy().T, labels=list(table.columns), colors=LINES, step=step)
    for area, hatch in zip(areas, _HATCHES, strict=False):
        area.set_hatch(hatch)
        area.set_edgecolor(SHADE)


def thinned(table: pd.DataFrame) -> pd.DataFrame:
    """Means over windows if there are more seconds than a screen shows; otherwise the table itself."""
    width = max(1, int(np.ceil(len(table) / MOST_POINTS)))
    return table if width == 1 else table.groupby(table.index // width * width).mean()
