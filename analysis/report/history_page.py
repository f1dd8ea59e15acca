"""Writes a history to report.html, history.json, summary.md and junit.xml in one directory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from loadproof.analysis.compare.history import FALSE_ALARMS, RECENT, Trend
from loadproof.analysis.compare.statistics.changepoints import FEWEST
from loadproof.analysis.outputs import historyfile
from loadproof.analysis.outputs.historyconclusion import concluded_history, history_conclusion, run_text
from loadproof.analysis.outputs.selftesttext import selftest_note
from loadproof.analysis.report.drawing import FAINT, LINES, SHADE, chart, log_durations
from loadproof.analysis.report.page import TEMPLATES
from loadproof.errors import escaped
from loadproof.rundir import files
from loadproof.units import Dimension

if TYPE_CHECKING:
    from pathlib import Path

    from markupsafe import Markup
    from matplotlib.axes import Axes

    from loadproof.analysis.compare.history import RowHistory, RunHistory, Stretch

HISTORY: Final = "history.json"
_NEWS: Final = frozenset({Trend.REGRESSED, Trend.IMPROVED, Trend.WENT_AWAY})


def history_files(history: RunHistory, directory: Path) -> dict[Path, str]:
    """Contents by path of a history's directory."""
    return {
        directory / HISTORY: historyfile.history_json(history),
        directory / files.SUMMARY: historyfile.history_markdown(history),
        directory / files.JUNIT: concluded_history(history).junit,
        directory / files.REPORT: render_history(history),
    }


def render_history(history: RunHistory) -> str:
    """The entire page."""
    latest = history.stretches[0].runs[-1]
    return TEMPLATES.get_template("history.html").render(
        history=history,
        selftest=selftest_note(latest.path, latest.manifest),
        conclusion=history_conclusion(history),
        stretches=[_view(number, stretch) for number, stretch in enumerate(history.stretches)],
        fewest=FEWEST,
        recent=RECENT,
        false_alarms=FALSE_ALARMS,
    )


def _view(number: int, stretch: Stretch) -> dict[str, Any]:
    """The template's values for one machine; endpoints and phases with changes come first."""
    places = dict.fromkeys((row.row.endpoint, row.row.phase) for row in stretch.rows)
    rows = [[row for row in stretch.rows if (row.row.endpoint, row.row.phase) == place] for place in places]
    rows.sort(key=lambda of_place: not any(row.trend in _NEWS for row in of_place))
    return {
        "title": historyfile.title(stretch),
        "events": list(historyfile.event_rows(stretch)),
        "places": [_place(f"place-{number}-{at}", of_place) for at, of_place in enumerate(rows)],
        "runs": [run_text(run) for run in stretch.runs],
    }


def _place(name: str, rows: list[RowHistory]) -> dict[str, Any]:
    """The values of one endpoint and phase: a chart of all response times, and one per other metric that changed."""
    times = [row for row in rows if row.metric.dimension is Dimension.DURATION]
    others = [row for row in rows if row not in times and row.trend in _NEWS]
    return {
        "name": f"{rows[0].row.endpoint}, {rows[0].row.phase}",
        "charts": [
            row_chart(f"{name}-{at}", drawn) for at, drawn in enumerate([times, *([row] for row in others)]) if drawn
        ],
        "rows": [historyfile.history_cells(row) for row in rows],
    }


def row_title(row: RowHistory) -> str:
    return f"{row.row.endpoint}, {row.row.phase}: {row.row.metric}"


def row_chart(name: str, rows: list[RowHistory]) -> Markup:
    """The values of each run, with a line where a level changed, and a band where it may have begun."""
    dimension = rows[0].metric.dimension
    label = {Dimension.DURATION: "time", Dimension.RATIO: "%"}.get(dimension, "requests per second")
    scale = {Dimension.DURATION: 1000.0, Dimension.RATIO: 100.0}.get(dimension, 1.0)
    with chart(name, label) as (axes, drawing):
        for number, row in enumerate(rows[: len(LINES)]):
            runs = [run + 1 for run in row.runs]
            values = [value * scale for value in row.values]
            label = escaped(row.row.metric)
            axes.plot(runs, values, color=LINES[number], marker="o", markersize=3, linewidth=0.8, label=label)
            _mark(axes, row, LINES[number])
        axes.set_xlabel("run")
        if dimension is Dimension.DURATION:
            log_durations(axes)
        drawing.legend(axes)
    return drawing.svg(f"Values of each run of {', '.join(row_title(row) for row in rows)}")


def _mark(axes: Axes, row: RowHistory, colour: str) -> None:
    for event in row.events:
        if event.trend in _NEWS:
            axes.axvspan(event.earliest + 0.5, event.latest + 0.5, color=SHADE, zorder=0)
            axes.axvline(event.first + 0.5, color=colour, linestyle="--", linewidth=1)
            if event.until is not None:
                axes.axvline(event.until + 0.5, color=FAINT, linestyle="--", linewidth=1)
