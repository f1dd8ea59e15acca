"""Writes a verdict to files and to the table in the terminal; deterministic: the same run gives the same bytes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from rich.console import Group
from rich.table import Table
from rich.text import Text

from loadproof.analysis.estimates.summary import SummaryRow, summary
from loadproof.analysis.frames.failures import failures
from loadproof.analysis.inert import markdown
from loadproof.analysis.judge.judgement import Judgement, interval_text
from loadproof.analysis.outputs.ci.junit import junit_xml
from loadproof.analysis.outputs.dates import date_text
from loadproof.analysis.outputs.verdict.verdictfile import audit_json, verdict_json
from loadproof.analysis.word import Word
from loadproof.errors import escaped
from loadproof.rundir import files
from loadproof.units import Dimension, format_duration, format_quantity

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from loadproof.analysis.audit.audit import Audited, Evidence
    from loadproof.analysis.frames.run import Run
    from loadproof.analysis.judge.verdict import Verdict
    from loadproof.plan.phases import PhaseSpan

_MOST_FAILURES: Final = 5
_MORE_THAN_ONE: Final = 1.01
_DECIDED: Final = " (decided)"
STYLES: Final = {
    Word.PASS: "bold green",
    Word.FAIL: "bold red",
    Word.INCONCLUSIVE: "bold yellow",
    Word.INVALID: "bold magenta",
}


def program_files(run: Run, verdict: Verdict, baseline: Run | None = None) -> dict[Path, str]:
    """Contents by path: verdict.json, summary.md and junit.xml, and audit.json if there are audits."""
    audits = {run.path / files.AUDIT: audit_json(run, verdict)} if verdict.audits else {}
    return {
        **audits,
        run.path / files.VERDICT: verdict_json(run, verdict, baseline),
        run.path / files.SUMMARY: summary_markdown(run, verdict),
        run.path / files.JUNIT: junit_xml(run, verdict),
    }


def cells(judgement: Judgement) -> tuple[str, str, str, str, str, str]:
    """A judgement's row in any table of thresholds: verdict, scope, expectation, value, interval, n."""
    threshold, estimate = judgement.threshold, judgement.estimate
    dimension = threshold.expectation.metric.dimension
    if estimate is None:
        return judgement.word, threshold.scope, threshold.expect, "no data", "–", "0"
    interval = "–" if estimate.low == estimate.high else interval_text(estimate, dimension)
    value = "never" if math.isinf(estimate.value) else format_quantity(estimate.value, dimension)
    return judgement.word, threshold.scope, threshold.expect, value, interval, f"{estimate.n:,}"


def audit_cells(audited: Audited) -> tuple[str, str, str, str, str, str]:
    """An audit's row in a table of thresholds: how many of its promises are kept, and the number of samples."""
    kept = sum(promise.word is Word.PASS for promise in audited.evidence)
    n = sum(promise.n for promise in audited.evidence)
    value = f"{kept} of {len(audited.evidence)} promises kept" if audited.evidence else "no data"
    return audited.word, "audit", f"audit: {audited.audit}", value, "–", f"{n:,}"


def answers(judgement: Judgement) -> tuple[str, str]:
    """Two cells: compliance in this run and next time; the one that decided is marked, because PASS needs both."""
    by, now, later = judgement.decided_by, judgement.in_this_run or "–", judgement.next_time or "–"
    return f"{now}{_DECIDED if by == 'in this run' else ''}", f"{later}{_DECIDED if by == 'next time' else ''}"


def summary_markdown(run: Run, verdict: Verdict) -> str:
    """Formatted for a GitHub step summary."""
    lines = [
        f"## {verdict.word}: {markdown(run.manifest.scenario.name)}",
        "",
        f"{markdown(verdict.reason)}  ",
        f"**Next:** {markdown(verdict.next_step)}",
        "",
        *([markdown(verdict.beside), ""] if verdict.beside else []),
        *markdown_thresholds(verdict),
        "",
        *_markdown_promises(verdict),
    ]
    if verdict.findings:
        lines += ["| finding | what | remedy |", "|---|---|---|"]
        lines += [
            f"| {finding.tag} | {markdown(finding.what)} | {markdown(finding.remedy)} |" for finding in verdict.findings
        ]
        lines.append("")
    lines += _markdown_failures(run)
    lines += [
        "| phase | offered | goodput | goodput ratio | p50 | p95 | p99 |",
        "|---|---:|---:|---:|---:|---:|---:|",
        *(_markdown_row(row) for row in summary(run) if row.endpoint is None),
        "",
        markdown(_source(run)),
        "",
    ]
    return "\n".join(lines)


def _markdown_failures(run: Run) -> list[str]:
    """A table of the most frequent failures, each with an example request."""
    most_frequent = failures(run.path, _MOST_FAILURES, run.events)
    rows = [
        (
            f"{failure.times:,}",
            failure.endpoint,
            failure.message,
            f"{failure.request} → {failure.answer}" if failure.request else "–",
        )
        for failure in most_frequent
    ]
    head = ["| times | endpoint | error | for example |", "|---:|---|---|---|"]
    return [*head, *(f"| {' | '.join(map(markdown, row))} |" for row in rows), ""] if rows else []


def markdown_thresholds(verdict: Verdict, interval: str = "95 % interval") -> list[str]:
    has_answers = any(judgement.in_this_run for judgement in verdict.judgements)
    names, rule = (" in this run | next time |", "---|---|") if has_answers else ("", "")
    rows = [cells(judgement) + (answers(judgement) if has_answers else ()) for judgement in verdict.judgements]
    rows += [audit_cells(audited) + (("–", "–") if has_answers else ()) for audited in verdict.audits]
    return [
        f"| | where | expected | value | {interval} | n |{names}",
        f"|---|---|---|---:|---|---:|{rule}",
        *(f"| {' | '.join(map(markdown, row))} |" for row in rows),
    ]


def _markdown_promises(verdict: Verdict) -> list[str]:
    """A table of each audit's evidence on each promise."""
    rows = [
        (promise.word, f"{audited.audit}: {promise.promise}", promise.reason, f"{promise.n:,}", f"{promise.needed:,}")
        for audited in verdict.audits
        for promise in audited.evidence
    ]
    head = ["| | promise | evidence | n | needed |", "|---|---|---|---:|---:|"]
    return [*head, *(f"| {' | '.join(map(markdown, row))} |" for row in rows), ""] if rows else []


def phase_name(phase: PhaseSpan) -> str:
    """The phase's name, marked as warm-up unless that is its name."""
    return f"{phase.name} (warm-up)" if phase.warm_up and phase.name != "warm-up" else phase.name


def offered_text(row: SummaryRow, unit: str = "") -> str:
    """Requests per second, and arrivals if their tasks sent more than one request each."""
    text = f"{row.offered_rps:.1f}{unit}"
    if row.planned_rps is None or row.offered_rps <= _MORE_THAN_ONE * row.planned_rps:
        return text
    return f"{text} ({row.planned_rps:.1f} arrivals)"


def _source(run: Run) -> str:
    """A sentence on the run: its id, date, target, and loadproof's revision."""
    manifest = run.manifest
    target = f"the {manifest.target.kind} target {manifest.target.address}".strip()
    target += f", release {manifest.release}" if manifest.release else ""
    date = date_text(manifest.start_unix_s)
    return f"Run {manifest.run_id}, {date}, against {target}, by loadproof at revision {manifest.revision}."


def _markdown_row(row: SummaryRow) -> str:
    ratio = row.goodput_ratio
    quantiles = [format_duration(value.value) if value else "–" for value in row.response.values()]
    share = format_quantity(ratio.value, Dimension.RATIO) if ratio else "–"
    rates = f"{offered_text(row, ' rps')} | {row.goodput_rps:.1f} rps"
    return f"| {markdown(phase_name(row.phase))} | {rates} | {share} | {' | '.join(quantiles)} |"


def terminal_view(verdict: Verdict, interval: str = "95 % interval") -> Group:
    """The verdict for a terminal; nothing in it is interpreted as rich's markup."""
    findings = [finding for finding in verdict.findings if not finding.is_note]
    return Group(
        _tagged(verdict.word, verdict.reason),
        _terminal_table(verdict, interval),
        *(_both_answers(judgement) for judgement in verdict.judgements if judgement.decided_by),
        *(_tagged(promise.word, f"{audit}: {promise.promise}: {promise.reason}") for audit, promise in _open(verdict)),
        *(_tagged(finding.word, f"{finding.what}; {finding.remedy}") for finding in findings),
        *([Text(escaped(verdict.beside))] if verdict.beside else []),
        Text(f"Next: {escaped(verdict.next_step)}"),
    )


def _open(verdict: Verdict) -> Iterator[tuple[str, Evidence]]:
    """Promises without a PASS, each with the name of its audit."""
    for audited in verdict.audits:
        yield from ((audited.audit, promise) for promise in audited.evidence if promise.word is not Word.PASS)


def _tagged(word: Word, text: str) -> Text:
    return Text.assemble((str(word), STYLES[word]), f"  {escaped(text)}")


def _terminal_table(verdict: Verdict, interval: str) -> Table:
    table = Table()
    for column in ("", "where", "expected", "value", interval, "n"):
        table.add_column(column, justify="right" if column in {"value", "n"} else "left")
    rows = [(judgement.word, cells(judgement)) for judgement in verdict.judgements]
    rows += [(audited.word, audit_cells(audited)) for audited in verdict.audits]
    for word, row in rows:
        first, *rest = map(escaped, row)
        table.add_row(Text(first, STYLES[word]), *map(Text, rest))
    return table


def _both_answers(judgement: Judgement) -> Text:
    """A line below the table, because no terminal has room for two more columns."""
    threshold, (now, later) = judgement.threshold, answers(judgement)
    return _tagged(judgement.word, f"{threshold.scope}: {threshold.expect}; in this run {now}, next time {later}")
