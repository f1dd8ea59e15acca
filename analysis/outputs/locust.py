"""Writes a `LocustRun` and any verdict to PREFIX_verdict.json, _summary.md and _junit.xml, and to the terminal."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from rich.console import Group
from rich.text import Text

from loadproof.analysis.estimates.metrics import QUANTILES
from loadproof.analysis.foreign.locust.caveats import cannot_show
from loadproof.analysis.foreign.thresholdfile import unwatched_text
from loadproof.analysis.foreign.turningpoints.turningpoints import find_turns
from loadproof.analysis.inert import markdown, shortened
from loadproof.analysis.outputs.ci.junit import file_cases, junit_suite
from loadproof.analysis.outputs.tables import markdown_thresholds, terminal_view
from loadproof.analysis.outputs.verdict.foreignverdict import CsvVerdictJson
from loadproof.analysis.outputs.verdict.verdictfile import NO_VERDICT, OfCsvs, Unjudged
from loadproof.errors import escaped
from loadproof.rundir import files
from loadproof.units import Dimension, counted, format_duration, format_quantity

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from loadproof.analysis.foreign.locust.csvfiles import LocustRun
    from loadproof.analysis.foreign.locust.entries import Entry
    from loadproof.analysis.foreign.turningpoints.turningpoints import TurnSearch
    from loadproof.analysis.judge.verdict import Verdict

INTERVAL: Final = "interval"
INTERVAL_NOTE: Final = (
    "Intervals: 95 % confidence for error_ratio; for times only what Locust's rounding leaves open, "
    "since their sampling error is unknown."
)
_MOST_IN_JSON: Final = 1_000
_MOST_IN_MARKDOWN: Final = 20
_MOST_EXCEPTIONS: Final = 10
_LONGEST_MESSAGE: Final = 300
_T = TypeVar("_T")


@dataclass(frozen=True)
class Examined:
    """Everything that the outputs show."""

    run: LocustRun
    verdict: Verdict | None
    search: TurnSearch
    caveats: tuple[str, ...]


def examine(run: LocustRun, verdict: Verdict | None) -> Examined:
    return Examined(run, verdict, find_turns(run), cannot_show(run))


def csv_files(examined: Examined, directory: Path) -> dict[Path, str]:
    """Contents of the three files for programs, by path in `directory`."""
    texts = {
        files.VERDICT: csv_verdict_json(examined),
        files.SUMMARY: csv_summary_markdown(examined),
        files.JUNIT: csv_junit_xml(examined),
    }
    return {output_path(examined.run, directory, name): text for name, text in texts.items()}


def output_path(run: LocustRun, directory: Path, name: str) -> Path:
    return directory / f"{run.source.prefix}_{name}"


def worst(run: LocustRun, most: int) -> tuple[list[Entry], int]:
    """At most `most` rows, by most failures, then by longest p95; and how many are left out."""

    def badness(entry: Entry) -> tuple[float, float, int, str]:
        p95 = entry.quantiles.get(0.95) or entry.mean
        return -entry.failures, -(p95.value if p95 else 0.0), -entry.requests, entry.title

    return first(sorted(run.entries, key=badness), most)


def first(items: Sequence[_T], most: int) -> tuple[list[_T], int]:
    """At most `most` of them, and how many more there are."""
    return list(items[:most]), max(0, len(items) - most)


def csv_facts(run: LocustRun) -> str:
    """One sentence on the entire run."""
    total = run.total
    if total is None or not total.requests:
        return "No requests were recorded."
    rate = ""
    if total.throughput is not None and total.throughput.value > 0:
        took = format_duration(total.requests / total.throughput.value)
        rate = f" in {took}, {format_quantity(total.throughput.value, Dimension.RATE)}"
    share = format_quantity(total.failure_ratio, Dimension.RATIO)
    return f"{counted(total.requests, 'request')}{rate}; {total.failures:,} failed ({share})."


def csv_verdict_json(examined: Examined) -> str:
    run = examined.run
    endpoints, left_out = worst(run, _MOST_IN_JSON)
    source = OfCsvs(
        run=run,
        verdict=examined.verdict or Unjudged(),
        search=examined.search,
        caveats=examined.caveats,
        exceptions=first(run.exceptions, _MOST_IN_JSON)[0],
        endpoints=endpoints,
        endpoints_left_out=left_out,
    )
    return CsvVerdictJson.of(source).text()


def csv_summary_markdown(examined: Examined) -> str:
    """Formatted for a GitHub step summary."""
    run, verdict = examined.run, examined.verdict
    lines = [f"## {verdict.word if verdict else 'Report'}: {markdown(shortened(run.name))}", ""]
    if verdict:
        lines += [f"{markdown(verdict.reason)}  ", f"**Next:** {markdown(verdict.next_step)}", ""]
        lines += [*markdown_thresholds(verdict, INTERVAL), "", INTERVAL_NOTE, ""]
    lines += [f"{markdown(csv_facts(run))}{'' if verdict else f' {NO_VERDICT}'}", ""]
    lines += [f"- {markdown(turn_text(turn.at_s, turn.users, turn.what))}" for turn in examined.search.turns]
    lines += ["", markdown(turns_note(examined.search)), ""]
    lines += [*(f"- {markdown(note)}" for note in examined.search.notes), "", *_markdown_endpoints(run), ""]
    if run.exceptions:
        raised = exceptions_text(run, _MOST_EXCEPTIONS)
        lines += ["Exceptions in the locustfile:", "", *(f"- {markdown(text)}" for text in raised), ""]
    lines += ["What these files can't show:", "", *(f"- {markdown(caveat)}" for caveat in examined.caveats), ""]
    if run.damage:
        lines += ["What was missing or damaged:", "", *(f"- {markdown(f'{damage}.')}" for damage in run.damage), ""]
    return "\n".join(line for number, line in enumerate(lines) if line or lines[number - 1])


def turn_text(at_s: float, users: float, what: str) -> str:
    return f"After {format_duration(at_s)}, at {counted(users, 'user')}: {what}."


def turns_note(search: TurnSearch) -> str:
    """The text below the turning points, or in place of them: 'none found' only about what could have been seen."""
    nothing = ""
    if search.looked and not search.turns:
        whole = len(search.looked_for) == len(_KINDS)
        kinds = " and ".join(_KINDS[kind] for kind in search.looked_for)
        nothing = "No turning point found. " if whole else f"No turning point in {kinds}. "
    return nothing + search.extent


_KINDS: Final = {"failures": "failures", "throughput": "throughput", "times": "response times"}


def exceptions_text(run: LocustRun, most: int) -> list[str]:
    """The most frequent exceptions of the locustfile itself, and how many more there are."""
    shown, left_out = first(run.exceptions, most)
    lines = [f"{raised.count:,} x {shortened(raised.message, _LONGEST_MESSAGE)}" for raised in shown]
    return [*lines, *([f"{left_out:,} rarer ones are left out"] if left_out else [])]


def _markdown_endpoints(run: LocustRun) -> list[str]:
    entries, left_out = worst(run, _MOST_IN_MARKDOWN)
    return [
        "| endpoint | requests | failures | rps | p50 | p95 | p99 | max |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
        *(f"| {' | '.join(map(markdown, entry_cells(entry)))} |" for entry in entries),
        *([f"| {left_out:,} more, none worse | | | | | | | |"] if left_out else []),
        *([f"| {' | '.join(map(markdown, entry_cells(run.total)))} |"] if run.total else []),
    ]


def entry_cells(entry: Entry) -> list[str]:
    """Title, requests, failures, requests/s, p50, p95, p99, max."""
    times = [*(entry.quantiles.get(quantile) for quantile in QUANTILES), entry.maximum]
    ratio = entry.failure_ratio
    share = "" if math.isnan(ratio) or not entry.failures else f" ({format_quantity(ratio, Dimension.RATIO)})"
    return [
        shortened(entry.title),
        f"{entry.requests:,}",
        f"{entry.failures:,}{share}",
        f"{entry.throughput.value:.1f}" if entry.throughput else "–",
        *(format_duration(time.value) if time else "–" for time in times),
    ]


def csv_junit_xml(examined: Examined) -> str:
    """See `file_cases`; none without thresholds."""
    verdict, lasted_s = examined.verdict, examined.run.duration_s
    cases = file_cases(verdict, lasted_s) if verdict else []
    return junit_suite(shortened(examined.run.name), cases, took_s=lasted_s)


def terminal(examined: Examined) -> Group:
    """The verdict, or that there is none, and the turning points; nothing in it is interpreted as rich's markup."""
    verdict = examined.verdict
    turns = examined.search.turns
    return Group(
        terminal_view(verdict, INTERVAL) if verdict else Text(NO_VERDICT),
        Text(escaped(csv_facts(examined.run))),
        *(Text(escaped(turn_text(turn.at_s, turn.users, turn.what))) for turn in turns),
        *([] if examined.run.history.empty else [Text(escaped(turns_note(examined.search)))]),
        *(Text(escaped(f"note: {note}")) for note in examined.search.notes),
        *(Text(escaped(f"exception in the locustfile: {text}")) for text in exceptions_text(examined.run, 3)),
        *(Text(escaped(f"note: {damage}")) for damage in examined.run.damage),
        Text(f"note: {unwatched_text('such files')}"),
    )
