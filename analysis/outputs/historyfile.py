"""Writes a history to history.json, to Markdown, and to the table in the terminal."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any, Final

from rich.console import Group
from rich.table import Table
from rich.text import Text

from loadproof.analysis.compare.changepoints import FEWEST
from loadproof.analysis.compare.history import RECENT, Trend
from loadproof.analysis.compare.welch import Scale
from loadproof.analysis.inert import markdown
from loadproof.analysis.outputs.dates import date_text
from loadproof.analysis.outputs.jsonmodel import Finite, JsonModel, by, from_
from loadproof.errors import escaped
from loadproof.units import format_quantity

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from loadproof.analysis.compare.history import Event, RowHistory, RunHistory, Stretch
    from loadproof.analysis.compare.replicates import Replicate

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
    """Of loadproof's own source."""
    release: str = from_("manifest", "release_shown")
    """What was loaded; empty if nobody named it."""


class EventJson(JsonModel):
    """Runs are numbered within the machine, from 0. `until` is the first run back at the old level; null: it lasts.

    `shift` is relative to before, of ratios the difference (0-1); `p` is how often noise alone looks as much like it.
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
    """`spread` is the standard deviation between runs, relative, of ratios the difference (0-1)."""

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
    format: int = FORMAT
    scenario: str
    machines: list[StretchJson] = from_("stretches")
    left_out: list[Annotated[str, by(str)]]


def history_schema() -> dict[str, Any]:
    """The JSON schema of history.json."""
    schema = HistoryJson.model_json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "history.json"}


def history_json(history: RunHistory) -> str:
    return HistoryJson.of(history).text()


def headline(history: RunHistory) -> str:
    """One sentence: what the latest runs show."""
    if history.broken:
        which = "the latest run" if history.broken == 1 else f"each of the latest {history.broken} runs"
        return f"The target ended {which}, so nothing is known of what it does now."
    stretch = history.stretches[0]
    if not stretch.is_long_enough:
        here = f"{len(stretch.runs)} on this machine, {FEWEST} are needed"
        return f"Too few runs to tell change from noise: {here}."
    if worse := history.latest_regressions:
        return f"{_rows(len(worse))} regressed within the last {RECENT} runs, and {_have(len(worse))} not recovered."
    if better := history.latest_improvements:
        return f"{_rows(len(better))} improved within the last {RECENT} runs; nothing regressed in them."
    changed = [row for row in stretch.rows if row.trend not in {Trend.STABLE, Trend.SMALL, Trend.TOO_FEW}]
    if not changed:
        return f"No change in {_rows(len(stretch.rows))} over {len(stretch.runs)} runs."
    return f"Nothing new: {len(changed)} of {_rows(len(stretch.rows))} changed earlier, or changed and went back."


def history_step(history: RunHistory) -> str:
    stretch = history.stretches[0]
    if history.broken:
        return "Find out in the latest run's report, and in the target's own log, why it ended."
    if not stretch.is_long_enough:
        lacking = FEWEST - len(stretch.runs)
        runs = "run" if lacking == 1 else "runs"
        return f"Make {lacking} more {runs} on this machine, or `loadproof compare` two releases."
    if not history.latest_regressions:
        return "Nothing to do."
    row, event = _surest(history.latest_regressions, len(stretch.runs) - RECENT)
    what = f"{row.row.metric} of {row.row.endpoint} in {row.row.phase} by {shift_text(row, event)}"
    return (
        f"Look for what changed at {since_text(stretch, event)}: it moved {what}, which is the surest change. "
        "`loadproof duel` shows whether it was the release."
    )


def _surest(rows: Sequence[RowHistory], since: int) -> tuple[RowHistory, Event]:
    """Of the regressions since this run the one that noise alone is least likely to look like."""
    regressions = [(row, event) for row in rows for event in row.events if event.trend is Trend.REGRESSED]
    return min(((row, event) for row, event in regressions if event.first >= since), key=lambda pair: pair[1].p)


def _have(n: int) -> str:
    return "has" if n == 1 else "have"


def _rows(n: int) -> str:
    return f"{n} row{'' if n == 1 else 's'}"


def shift_text(row: RowHistory, event: Event) -> str:
    """'+10.2 % (+8.1 to +12.3 %)', of ratios in percentage points."""
    unit = "points" if row.scale is Scale.DIFFERENCE else "%"
    return f"{event.shift * 100:+.1f} {unit} ({event.low * 100:+.1f} to {event.high * 100:+.1f})"


def run_text(run: Replicate) -> str:
    """By day and release, as people look for it."""
    day, release = date_text(run.manifest.start_unix_s)[:10], run.manifest.release_shown
    return f"{day}, {release}" if release else day


def since_text(stretch: Stretch, event: Event) -> str:
    """When it began, as exactly as that is known, and when it went away."""
    text = f"run {event.first + 1} ({run_text(stretch.runs[event.first])})"
    if event.earliest != event.latest:
        text += f", between runs {event.earliest + 1} and {event.latest + 1}"
    return text if event.until is None else f"{text}, back since run {event.until + 1}"


def level_text(row: RowHistory) -> str:
    return format_quantity(row.level, row.metric.dimension)


def spread_text(row: RowHistory) -> str:
    if math.isnan(row.spread):
        return "–"
    return f"{row.spread * 100:.2g} {'points' if row.scale is Scale.DIFFERENCE else '%'}"


def event_rows(stretch: Stretch) -> Iterator[tuple[Trend, str, str, str, str, str]]:
    """Each change of each row: what it is, where, of which metric, how much, since when, and p; news first."""
    order = list(Trend)
    found = [(event, row) for row in stretch.rows for event in row.events]
    for event, row in sorted(found, key=lambda pair: (order.index(pair[0].trend), -pair[0].first)):
        where = f"{row.row.endpoint}, {row.row.phase}"
        p = "< 0.0001" if event.p < 1e-4 else f"{event.p:.2g}"
        yield event.trend, where, row.row.metric, shift_text(row, event), since_text(stretch, event), p


def history_markdown(history: RunHistory) -> str:
    lines = [f"## History of {markdown(history.scenario)}", "", f"**{markdown(headline(history))}**  "]
    lines += [f"**Next:** {markdown(history_step(history))}", ""]
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
    return f"{stretch.machine}: {len(stretch.runs)} runs, {first} to {last}"


def history_terminal(history: RunHistory) -> Group:
    """The headline, and the changes of the latest run's machine; nothing in it is interpreted as markup."""
    stretch = history.stretches[0]
    parts: list[Any] = [Text(escaped(f"{history.scenario}: {headline(history)}")), Text(escaped(title(stretch)))]
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
    parts.append(Text(escaped(f"Next: {history_step(history)}")))
    return Group(*parts)
