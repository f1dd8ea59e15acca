"""Writes a comparison as tables for the terminal and for Markdown: baseline, candidate, the change, and its word."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from rich.console import Group
from rich.table import Table
from rich.text import Text

from loadproof.analysis.compare.comparedrow import ChangeWord, ComparedRow, scale_of
from loadproof.analysis.compare.comparison import FALSE_ALARMS
from loadproof.analysis.compare.conclusion import VERDICTS, conclusion_of, interval_of, signed_text
from loadproof.analysis.compare.statistics.welch import Scale
from loadproof.analysis.inert import markdown
from loadproof.analysis.outputs.tables import STYLES, cells
from loadproof.errors import escaped
from loadproof.units import format_quantity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadproof.analysis.compare.comparison import Comparison
    from loadproof.analysis.estimates.estimate import Estimate

HEAD: Final = (
    "",
    "where",
    "metric",
    "baseline",
    "candidate",
    "change",
    "95 % interval",
    "p",
    "would show",
    "decide",
)
"""The head of a table of rows; `row_cells` returns the cells of a row."""
_TERMINAL_HEAD: Final = ("", "what", "baseline", "candidate", "change (95 % interval)")
_NO_WORD: Final = "–"
_MOST_BESIDE: Final = 10
"""The most rows shown that no threshold names."""


def row_cells(row: ComparedRow) -> tuple[str, ...]:
    """A row's cells: word, place, metric, both sides, change, interval, p, detectable change, runs to decide."""
    has_p = row.word is not None and math.isfinite(row.adjusted_p)
    return (
        row.word or _NO_WORD,
        f"{row.row.endpoint} · {row.row.phase}",
        row.row.metric,
        _side(row, row.baseline),
        _side(row, row.candidate),
        signed_text(row.change.ratio, row.change.scale) if row.change else "no data",
        interval_of(row),
        _p_text(row.adjusted_p) if has_p else _NO_WORD,
        signed_text(row.detectable, scale_of(row.metric)),
        f"{row.runs_to_decide} runs" if row.runs_to_decide else _NO_WORD,
    )


def _side(row: ComparedRow, estimate: Estimate | None) -> str:
    """'20.3 ms ±2 %': the mean of the runs, and half the width of its interval."""
    if estimate is None:
        return "no data"
    value = format_quantity(estimate.value, row.metric.dimension)
    if not math.isfinite(estimate.high - estimate.low):
        return value
    if scale_of(row.metric) is Scale.DIFFERENCE:
        return f"{value} ±{100 * (estimate.high - estimate.low) / 2:.2g}"
    return f"{value} ±{100 * (math.sqrt(estimate.high / estimate.low) - 1):.2g} %"


def _p_text(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def shown_rows(comparison: Comparison) -> list[ComparedRow]:
    """The deciding rows, then some of the others that changed."""
    changed = [row for row in comparison.rows if row.word in {ChangeWord.REGRESSED, ChangeWord.IMPROVED}]
    deciding = list(comparison.deciding_rows)
    return deciding + [row for row in changed if row not in deciding][:_MOST_BESIDE]


def rest_text(comparison: Comparison, shown: Sequence[ComparedRow]) -> str:
    """A sentence on the words of the rows that are not shown; empty if all are."""
    others = [row.word for row in comparison.rows if row not in shown]
    counts = {word: others.count(word) for word in (*ChangeWord, None)}
    listed = ", ".join(f"{count} {word or 'without a word'}" for word, count in counts.items() if count)
    return f"{len(others)} more rows: {listed}." if others else ""


def facts_of(comparison: Comparison) -> str:
    """Sentences on how many runs were compared, of which scenario, and how."""
    how = ""
    if comparison.tested:
        how = ", compared within blocks made beside each other" if comparison.is_interleaved else ", by Welch's test"
    tested = (
        f"{comparison.tested} rows share a false-alarm rate of {100 * FALSE_ALARMS:.3g} %. "
        if comparison.tested
        else ""
    )
    return (
        f"{len(comparison.baseline)} and {len(comparison.candidate)} runs of {comparison.scenario.name}{how}. "
        f"{tested}A change within {100 * comparison.margin:.3g} % doesn't matter (of a share of requests, "
        f"{10 * comparison.margin:.3g} percentage points)."
    )


def comparison_view(comparison: Comparison) -> Group:
    """For a terminal; nothing in it is interpreted as rich's markup."""
    conclusion = conclusion_of(comparison)
    shown = shown_rows(comparison)
    table = Table()
    for name in _TERMINAL_HEAD:
        # In a narrow terminal, a column that must not wrap would take all of the others' space.
        table.add_column(name, overflow="fold")
    has_phases = len({row.row.phase for row in comparison.rows}) > 1
    for row in shown:
        cell = dict(zip(HEAD, map(escaped, row_cells(row)), strict=True))
        what = f"{cell['metric']} of {cell['where'] if has_phases else escaped(row.row.endpoint)}"
        values = [cell[name].partition(" ±")[0] for name in ("baseline", "candidate")]
        change = f"{cell['change']} ({cell['95 % interval']})"
        table.add_row(Text(cell[""], _style(row.word)), *map(Text, (what, *values, change)))
    tagged = [
        (judged.word, str(judged.word), f"{judged.threshold.expect}: {judged.reason}")
        for judged in comparison.judgements
    ]
    tagged += [(each.word, each.tag, f"{each.what}; {each.remedy}") for each in comparison.findings]
    sentences = (rest_text(comparison, shown), facts_of(comparison), f"Next: {conclusion.next_step}")
    return Group(
        Text.assemble((conclusion.word, STYLES[conclusion.verdict]), f"  {escaped(conclusion.reason)}"),
        table,
        *(Text.assemble((tag, STYLES[word]), f"  {escaped(text)}") for word, tag, text in tagged),
        *(Text(escaped(text)) for text in sentences if text),
    )


def _style(word: ChangeWord | None) -> str:
    return STYLES[VERDICTS[word]] if word else ""


def comparison_markdown(comparison: Comparison) -> str:
    """Formatted for a GitHub step summary; all rows."""
    conclusion = conclusion_of(comparison)
    lines = [
        f"## {conclusion.word}: {markdown(comparison.scenario.name)}",
        "",
        f"{markdown(conclusion.reason)}  ",
        f"**Next:** {markdown(conclusion.next_step)}",
        "",
        f"| {' | '.join(HEAD)} |",
        f"|{'---|' * 3}{'---:|' * 3}---|{'---:|' * 3}",
        *(f"| {' | '.join(map(markdown, row_cells(row)))} |" for row in comparison.rows),
        "",
        markdown(facts_of(comparison)),
        "",
    ]
    if comparison.judgements:
        lines += ["| | where | expected | value | 95 % interval | runs | why |", "|---|---|---|---:|---|---:|---|"]
        lines += [
            f"| {' | '.join(map(markdown, (*cells(judged), judged.reason)))} |" for judged in comparison.judgements
        ]
        lines.append("")
    if comparison.findings:
        lines += ["| finding | what | remedy |", "|---|---|---|"]
        lines += [f"| {each.tag} | {markdown(each.what)} | {markdown(each.remedy)} |" for each in comparison.findings]
        lines.append("")
    return "\n".join(lines)
