"""Writes a request log and its verdict, if any, to a page and files: NAME_report.html, NAME_verdict.json etc."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from loadproof.analysis.estimates.overtime import answered, over_time
from loadproof.analysis.estimates.summary import busiest, summary
from loadproof.analysis.inert import markdown
from loadproof.analysis.outputs.ci.junit import file_cases, junit_suite
from loadproof.analysis.outputs.tables import markdown_thresholds
from loadproof.analysis.outputs.verdict.foreignverdict import LogVerdictJson
from loadproof.analysis.outputs.verdict.verdictfile import OfLog, Unjudged
from loadproof.analysis.report import charts
from loadproof.analysis.report.page import TEMPLATES, threshold_row
from loadproof.outcome import Outcome
from loadproof.rundir import files
from loadproof.units import counted, format_duration

if TYPE_CHECKING:
    from pathlib import Path

    from loadproof.analysis.estimates.summary import SummaryRow
    from loadproof.analysis.foreign.logs.requestlog import RequestLog
    from loadproof.analysis.judge.verdict import Verdict

_MOST_ROWS: Final = 50


def write_log_report(log: RequestLog, verdict: Verdict | None, directory: Path) -> Path:
    """Write the page and verdict.json, with a verdict also summary.md and junit.xml; return the page's path.

    OutputError if that fails.
    """
    endpoints = tuple(busiest(log.traffic, _MOST_ROWS))
    rows = summary(log.traffic, endpoints)
    source = OfLog(log, verdict or Unjudged(), rows)
    stem = log.path.stem
    texts = {files.REPORT: _page(log, verdict, rows, endpoints), files.VERDICT: LogVerdictJson.of(source).text()}
    if verdict is not None:
        said = [f"{markdown(verdict.reason)}  ", f"**Next:** {markdown(verdict.next_step)}"]
        table = markdown_thresholds(verdict)
        texts[files.SUMMARY] = "\n".join(
            [f"## {verdict.word}: {markdown(stem)}", "", *said, "", *table, "", markdown(log_facts(log)), ""]
        )
        lasted_s = log.traffic.measured_s
        texts[files.JUNIT] = junit_suite(stem, file_cases(verdict, lasted_s), took_s=lasted_s)
    files.make_directory(directory)
    files.write_all({directory / f"{stem}_{name}": text for name, text in texts.items()})
    return directory / f"{stem}_{files.REPORT}"


def log_facts(log: RequestLog) -> str:
    """A sentence on the whole log, followed by notes."""
    lasted_s = log.traffic.measured_s
    left_out = f"; {counted(log.unreadable, 'line')} left out" if log.unreadable else ""
    coarse = "; times are accurate to 1.6 % (large log)" if log.is_coarse else ""
    return (
        f"{counted(log.requests, 'request')} of {counted(len(log.traffic.endpoints), 'kind')} "
        f"in {format_duration(lasted_s)}, "
        f"{log.requests / lasted_s:,.1f} per second{left_out}{coarse}."
        f"{''.join(f' Note: {note}.' for note in log.notes)}"
    )


def _page(log: RequestLog, verdict: Verdict | None, rows: list[SummaryRow], endpoints: tuple[str, ...]) -> str:
    traffic = log.traffic
    seconds, response_times = over_time(traffic), answered(traffic.intervals)
    return TEMPLATES.get_template("log.html").render(
        name=log.path.stem,
        verdict=verdict,
        facts=log_facts(log),
        thresholds=[threshold_row(judgement) for judgement in verdict.judgements] if verdict else [],
        load_chart=charts.throughput_chart(traffic, seconds.counts),
        heat_chart=charts.heat_chart(traffic, response_times),
        endpoints_chart=charts.endpoints_chart(traffic, response_times, endpoints),
        spectrum_chart=charts.spectrum_chart(charts.spectrum_of(traffic)),
        outcomes_chart=charts.outcomes_chart(traffic, seconds.outcomes),
        outcomes=list(Outcome),
        rows=[_cells(row) for row in rows],
        rows_left=max(0, len(traffic.endpoints) - _MOST_ROWS),
    )


def _cells(row: SummaryRow) -> dict[str, object]:
    times = [format_duration(estimate.value) if estimate else "–" for estimate in row.response.values()]
    return {
        "name": row.endpoint,
        "numbers": [f"{row.throughput_rps:.1f}", *times],
        "outcomes": [row.tally.outcomes[outcome] for outcome in Outcome],
    }
