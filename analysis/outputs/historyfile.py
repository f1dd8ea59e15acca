"""Writes a history to history.json, to Markdown, and to the table in the terminal."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

from rich.console import Group
from rich.table import Table
from rich.text import Text

from loadproof.analysis.compare.history import Trend
from loadproof.analysis.compare.statistics.welch import Scale
from loadproof.analysis.inert import markdown
from loadproof.analysis.outputs.dates import date_text
from loadproof.analysis.outputs.historyconclusion import (
    history_conclusion,
    shift_text,
    since_text,
)
from loadproof.analysis.outputs.jsonmodel import Finite, JsonModel, by, from_
from loadproof.analysis.outputs.tables import STYLES as WORD_STYLES
from loadproof.errors import escaped
from loadproof.units import counted, format_quantity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadproof.analysis.compare.history import RowHistory, RunHistory, Stretch
    from loadproof.analysis.outputs.historyconclusion import HistoryConclusion

FORMAT: Final = 1
_MOST_TOLD: Final = 12
"""Rows in the terminal; the page has all."""
_MOST_REASONS: Final = 5
STYLES: Final = {
    Trend.REGRESSED: "bold red",
    Trend.IMPROVED: "bold green",
    Trend.WENT_AWAY: "bold yellow",
    Trend.TOO_FEW: "dim",
}


class RunJson(JsonModel):
    run_id: str = from_("manifest", "run_id")
    started_unix_s: float = from_("manifest", "start_unix_s")
    revision: str = from_("manifest", "revision")
    """The revision of loadproof itself."""
    release: str = from_("manifest", "release_shown")
    """The target's release; empty if it was not named."""


class EventJson(JsonModel):
    """Runs are numbered from 0 within their machine. `until` is the first run back at the old level; null if it lasts.

    `shift` is relative to the level before, for ratios the difference (0-1); `p` is the probability that noise alone
    looks as much like a change.
    """

    trend: str
    first: int
    earliest: int
    latest: int
    until: int | None
    shift: float
    low: float
    high: float
    p: float


class RowHistoryJson(JsonModel):
    """`spread` is the standard deviation between runs, relative to the level; absolute (0-1) for ratios."""

    endpoint: str = from_("row", "endpoint")
    phase: str = from_("row", "phase")
    metric: str = from_("row", "metric")
    trend: str
    level: float
    spread: Finite
    runs: list[int]
    values: Annotated[list[float], by(list)]
    odd: list[int]
    events: list[EventJson]


class StretchJson(JsonModel):
    machine: str
    runs: list[RunJson]
    rows: list[RowHistoryJson]


class HistoryJson(JsonModel):
    """`word` is target gone, too few, regressed, no longer sent, improved or nothing new.

    `verdict` is its meaning for a gate. FAIL raises the alarm: something regressed recently and is still worse, or the
    target ended the latest run.
    """

    format: int
    word: str = from_("conclusion", "word")
    verdict: str = from_("conclusion", "verdict")
    reason: str = from_("conclusion", "reason")
    next_step: str = from_("conclusion", "next_step")
    scenario: str = from_("history", "scenario")
    machines: list[StretchJson] = from_("history", "stretches")
    left_out: list[Annotated[str, by(str)]] = from_("history", "left_out")


@dataclass(frozen=True)
class OfHistory:
    """The source of HistoryJson."""

    history: RunHistory
    conclusion: HistoryConclusion
    format: int = FORMAT


def history_schema() -> dict[str, Any]:
    """The JSON schema of history.json."""
    schema = HistoryJson.model_json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "history.json"}


def history_json(history: RunHistory) -> str:
    return HistoryJson.of(OfHistory(history, history_conclusion(history))).text()


def level_text(row: RowHistory) -> str:
    return format_quantity(row.level, row.metric.dimension)


def spread_text(row: RowHistory) -> str:
    if math.isnan(row.spread):
        return "–"
    return f"{row.spread * 100:.2g} {'points' if row.scale is Scale.DIFFERENCE else '%'}"


def event_rows(stretch: Stretch) -> Iterator[tuple[Trend, str, str, str, str, str]]:
    """Each change of each row: trend, place, metric, size, since when, and p; the most important trends first."""
    order = list(Trend)
    found = [(event, row) for row in stretch.rows for event in row.events]
    for event, row in sorted(found, key=lambda pair: (order.index(pair[0].trend), -pair[0].first)):
        where = f"{row.row.endpoint}, {row.row.phase}"
        p = "< 0.0001" if event.p < 1e-4 else f"{event.p:.2g}"
        yield event.trend, where, row.row.metric, shift_text(row, event), since_text(stretch, event), p


def history_markdown(history: RunHistory) -> str:
    conclusion = history_conclusion(history)
    lines = [f"## History of {markdown(history.scenario)}: {conclusion.word}", ""]
    lines += [f"**{markdown(conclusion.reason)}**  ", f"**Next:** {markdown(conclusion.next_step)}", ""]
    for stretch in history.stretches:
        lines += [f"### {markdown(title(stretch))}", ""]
        if events := list(event_rows(stretch)):
            lines += ["| | where | metric | change (95 % interval) | since | p |", "|---|---|---|---|---|---|"]
            lines += [f"| {' | '.join(map(markdown, row))} |" for row in events]
            lines.append("")
        lines += [
            "| | where | metric | level now | sd between runs | runs | odd |",
            "|---|---|---|---:|---:|---:|---:|",
        ]
        lines += [f"| {' | '.join(map(markdown, history_cells(row)))} |" for row in stretch.rows]
        lines.append("")
    lines += [f"- left out: {markdown(str(problem))}" for problem in history.left_out]
    return "\n".join([*lines, ""])


def history_cells(row: RowHistory) -> tuple[str, ...]:
    name = row.row
    counts = f"{len(row.values)}", f"{len(row.odd)}"
    return row.trend, f"{name.endpoint}, {name.phase}", name.metric, level_text(row), spread_text(row), *counts


def title(stretch: Stretch) -> str:
    first, last = (date_text(run.manifest.start_unix_s)[:10] for run in (stretch.runs[0], stretch.runs[-1]))
    days = first if first == last else f"{first} to {last}"
    return f"{stretch.machine}: {counted(len(stretch.runs), 'run')}, {days}"


def history_terminal(history: RunHistory) -> Group:
    """The headline, and the changes of the latest run's machine; nothing in it is interpreted as markup."""
    stretch, conclusion = history.stretches[0], history_conclusion(history)
    reason = escaped(f"{history.scenario}: {conclusion.reason}")
    head = Text.assemble((conclusion.word, WORD_STYLES[conclusion.verdict]), "  ", reason)
    parts: list[Any] = [head, Text(escaped(title(stretch)))]
    events = list(event_rows(stretch))
    if events:
        table = Table("", "where", "metric", "change (95 %)", "since")
        for trend, *cells, _ in events[:_MOST_TOLD]:
            table.add_row(Text(trend, STYLES.get(trend, "")), *(Text(escaped(cell)) for cell in cells))
        parts.append(table)
    if len(events) > _MOST_TOLD:
        parts.append(Text(f"… and {len(events) - _MOST_TOLD} more in the report"))
    parts += [Text(f"{escaped(title(other))}: a history of its own, in the report") for other in history.stretches[1:]]
    reasons = Counter(problem.what for problem in history.left_out).most_common()
    parts += [Text(escaped(f"{count} left out: {what}")) for what, count in reasons[:_MOST_REASONS]]
    if rest := sum(count for _, count in reasons[_MOST_REASONS:]):
        parts.append(Text(f"{rest} left out for other reasons: the report has them"))
    parts.append(Text(escaped(f"Next: {conclusion.next_step}")))
    return Group(*parts)
