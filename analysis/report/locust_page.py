"""Writes a `LocustRun` and any verdict to PREFIX_report.html: a single file, complete without its script."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from loadproof.analysis.inert import shortened
from loadproof.analysis.outputs.dates import date_text
from loadproof.analysis.outputs.locust import (
    INTERVAL_NOTE,
    Examined,
    csv_facts,
    csv_files,
    entry_cells,
    first,
    output_path,
    turn_text,
    turns_note,
    worst,
)
from loadproof.analysis.outputs.verdict.verdictfile import NO_VERDICT
from loadproof.analysis.report import locustcharts
from loadproof.analysis.report.page import TEMPLATES, threshold_row
from loadproof.rundir import files
from loadproof.units import counted, format_duration

if TYPE_CHECKING:
    from pathlib import Path

    from loadproof.analysis.foreign.locust.csvfiles import LocustRun

_MOST_ROWS: Final = 50
_LONGEST_MESSAGE: Final = 300


def write_csv_report(examined: Examined, directory: Path) -> Path:
    """Write the page and the three files for programs into `directory`, created if necessary; return the page's path.

    OutputError if they can't be written.
    """
    files.make_directory(directory)
    page = output_path(examined.run, directory, files.REPORT)
    files.write_all({**csv_files(examined, directory), page: render_csv_page(examined)})
    return page


def render_csv_page(examined: Examined) -> str:
    """The entire page; the same bytes for the same CSVs."""
    run, verdict, turns = examined.run, examined.verdict, examined.search.turns
    table = locustcharts.windows_drawn(run)
    entries, entries_left = worst(run, _MOST_ROWS)
    failures, failures_left = first(run.failures, _MOST_ROWS)
    exceptions, exceptions_left = first(run.exceptions, _MOST_ROWS)
    return TEMPLATES.get_template("locust.html").render(
        name=shortened(run.name),
        about="" if run.start_unix_s is None else date_text(run.start_unix_s),
        verdict=verdict,
        no_verdict=NO_VERDICT,
        interval_note=INTERVAL_NOTE,
        facts=csv_facts(run),
        thresholds=[threshold_row(judgement) for judgement in verdict.judgements] if verdict else [],
        turns=[turn_text(turn.at_s, turn.users, turn.what) for turn in turns],
        turns_note=turns_note(examined.search),
        turns_notes=examined.search.notes,
        load_chart=locustcharts.users_chart(run, table, turns),
        times_chart=locustcharts.times_chart(run, table, turns),
        failures_chart=locustcharts.failures_chart(run, table, turns),
        against_load_chart=locustcharts.against_load_chart(run),
        width_s=locustcharts.width_s(run),
        cumulative=run.cumulative,
        rows=[entry_cells(entry) for entry in entries],
        rows_left=entries_left,
        total=entry_cells(run.total) if run.total else None,
        failures=[
            (f"{failure.occurrences:,}", shortened(f"{failure.method} {failure.name}".strip()), _message(failure.error))
            for failure in failures
        ],
        failures_left=failures_left,
        exceptions=[(f"{raised.count:,}", _message(raised.message)) for raised in exceptions],
        exceptions_left=exceptions_left,
        caveats=examined.caveats,
        source=_source(run),
    )


def _message(text: str) -> str:
    return shortened(text, _LONGEST_MESSAGE)


def _source(run: LocustRun) -> dict[str, str]:
    start = "unknown"
    if run.start_unix_s is not None:
        start = date_text(run.start_unix_s)
    return {
        "files": ", ".join(run.files),
        "start": start,
        "history": f"{counted(len(run.history), 'row')}, {format_duration(run.duration_s)}",
        "full history": "yes" if run.full_history else "no",
        "missing or damaged": "; ".join(run.damage) or "nothing",
    }
