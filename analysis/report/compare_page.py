"""Writes a comparison to one HTML page, and all of its files to a directory."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from loadproof.analysis.compare.conclusion import VERDICTS, Conclusion, conclusion_of
from loadproof.analysis.compare.shift import Shift, shifts_of
from loadproof.analysis.compare.statistics.equivalence import margin_on
from loadproof.analysis.outputs.ci.comparisonresults import concluded_comparison
from loadproof.analysis.outputs.comparisonfile import ComparisonJson, OfComparison
from loadproof.analysis.outputs.comparisontables import HEAD, comparison_markdown, facts_of, row_cells
from loadproof.analysis.outputs.dates import date_text
from loadproof.analysis.outputs.selftesttext import selftest_note
from loadproof.analysis.report.comparecharts import runs_chart, shift_chart
from loadproof.analysis.report.page import TEMPLATES, threshold_row
from loadproof.rundir import files

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from loadproof.analysis.compare.comparedrow import ComparedRow
    from loadproof.analysis.compare.comparison import Comparison
    from loadproof.analysis.compare.replicates import Replicate

COMPARE: Final = "compare.json"
_HEAD: Final = ("", "where", "metric", "baseline", "candidate", "change", "p", "would show", "between runs")
_TITLES: Final = {
    "between runs": "The part of the variance that lies between runs: more runs make it smaller, longer ones don't",
    "p": "How often noise alone would make equal releases differ this much, adjusted for the number of rows tested",
    "would show": "The smallest change that these runs would detect 80 % of the time, and the number of runs of each "
    "release needed to settle it with 80 % power if the change is as large as it looks",
    "change": "With its 95 % interval, for this row alone",
}


def comparison_files(comparison: Comparison, directory: Path) -> dict[Path, str]:
    """Contents by path: compare.json, summary.md, junit.xml and report.html."""
    conclusion, shifts = conclusion_of(comparison), shifts_of(comparison)
    return {
        directory / COMPARE: ComparisonJson.of(OfComparison(comparison, conclusion, shifts)).text(),
        directory / files.SUMMARY: comparison_markdown(comparison),
        directory / files.JUNIT: concluded_comparison(comparison).junit,
        directory / files.REPORT: render_comparison(comparison, conclusion, shifts),
    }


def render_comparison(comparison: Comparison, conclusion: Conclusion, shifts: Sequence[Shift]) -> str:
    """The entire page; the same bytes for the same runs."""
    latest = max((*comparison.baseline, *comparison.candidate), key=lambda run: run.manifest.start_unix_s)
    timed = [row for row in (*comparison.deciding_rows, *comparison.rows) if row.metric.kind.reads_times]
    return TEMPLATES.get_template("compare.html").render(
        conclusion=conclusion,
        name=comparison.scenario.name,
        about=facts_of(comparison),
        selftest=selftest_note(latest.path, latest.manifest),
        trouble=[finding for finding in comparison.findings if not finding.is_note],
        notes=[finding for finding in comparison.findings if finding.is_note],
        head=_HEAD,
        titles=_TITLES,
        named=[_page_row(row) for row in comparison.rows if row.is_named],
        others=[_page_row(row) for row in comparison.rows if not row.is_named],
        thresholds=[threshold_row(judgement) for judgement in comparison.judgements],
        shifts=[
            (f"{shift.endpoint} · {shift.phase}", shift_chart(shift, comparison.margin, number))
            for number, shift in enumerate(shifts)
        ],
        runs_chart=runs_chart(comparison, timed[0]) if timed else None,
        runs_row=timed[0].row if timed else None,
        sides=[("baseline", _runs(comparison.baseline)), ("candidate", _runs(comparison.candidate))],
    )


def _page_row(row: ComparedRow) -> dict[str, Any]:
    share = row.between_runs_share
    cells = dict(zip(HEAD, row_cells(row), strict=True))
    cells["change"] += f"\n{cells['95 % interval']}"
    cells["would show"] += f"\n{cells['decide']}" if row.runs_to_decide else ""
    cells["between runs"] = f"{share:.0%}" if math.isfinite(share) else "–"
    return {
        "cells": [cells[name].replace(" ±", "\n±").split("\n") for name in _HEAD],
        "verdict": VERDICTS[row.word].lower() if row.word else "none",
        "mark": _mark(row),
    }


def _mark(row: ComparedRow) -> dict[str, float] | None:
    """The interval and the margin, as percentages of a bar with no change in the middle; None without an interval."""
    if row.change is None or not math.isfinite(row.change.standard_error):
        return None
    scale = row.change.scale
    margin = scale.shown(margin_on(scale, row.margin))
    reach = 1.1 * max(abs(row.change.low), abs(row.change.high), 2 * margin)

    def percent(value: float) -> float:
        return round(50 + 50 * value / reach, 2)

    return {
        "low": percent(row.change.low),
        "high": percent(row.change.high),
        "least": percent(scale.shown(-margin_on(scale, row.margin))),
        "most": percent(margin),
    }


def _runs(side: Sequence[Replicate]) -> list[tuple[str, ...]]:
    return [
        (run.path.name, date_text(run.manifest.start_unix_s), str(run.manifest.seed), run.manifest.ending)
        for run in sorted(side, key=lambda run: run.manifest.start_unix_s)
    ]
