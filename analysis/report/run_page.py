"""Writes a run and its verdict to report.html: a single file, complete without its script, with no external parts."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

import yaml

from loadproof.analysis.compare.baseline.baseline import differences
from loadproof.analysis.estimates.changes import changes
from loadproof.analysis.estimates.overtime import answered, over_time
from loadproof.analysis.estimates.summary import SummaryRow, busiest, summary, summary_of_groups
from loadproof.analysis.frames.bursts import bursts
from loadproof.analysis.frames.cellsums import histogram
from loadproof.analysis.frames.failures import failures
from loadproof.analysis.judge.judgement import ONE_RUN_A_SIDE
from loadproof.analysis.judge.nextstep import badness
from loadproof.analysis.outputs import tables
from loadproof.analysis.outputs.dates import date_text
from loadproof.analysis.outputs.selftesttext import selftest_note
from loadproof.analysis.outputs.tables import offered_text, phase_name
from loadproof.analysis.report import charts
from loadproof.analysis.report.degradationview import degradation_view
from loadproof.analysis.report.page import TEMPLATES, audit_row, threshold_row
from loadproof.histogram import LOWER_US, value_at_rank
from loadproof.outcome import Outcome
from loadproof.rundir import files
from loadproof.scenario.target.limits import limit_text
from loadproof.units import Dimension, format_duration, format_quantity

if TYPE_CHECKING:
    from pathlib import Path

    from loadproof.analysis.estimates.estimate import Estimate
    from loadproof.analysis.frames.run import Run
    from loadproof.analysis.judge.verdict import Verdict
    from loadproof.rundir.manifest import RedisFacts, TargetFacts


LATE_US: Final = 10_000
MOST_FAILURES: Final = 10
MOST_WORST: Final = 5
MOST_ENDPOINTS: Final = 10
_OFFENCE_COLUMNS: Final = ("client", "request", "sent_us", "ended_us", "status", "retry_after", "noted")
_HELD: Final[dict[str, tuple[str, Callable[[float], str]]]] = {
    "process_resident_memory_bytes": ("memory, MiB", lambda value: f"{value / 2**20:.1f}"),
    "process_open_fds": ("open descriptors", lambda value: f"{value:.0f}"),
    "process_threads": ("threads", lambda value: f"{value:.0f}"),
}


def run_files(run: Run, verdict: Verdict, baseline: Run | None = None) -> dict[Path, str]:
    """Contents by path of everything that the analysis adds to a run directory: the page, and files for programs."""
    return {
        **tables.program_files(run, verdict, baseline),
        run.path / files.REPORT: render_run_page(run, verdict, baseline),
    }


def render_run_page(run: Run, verdict: Verdict, baseline: Run | None = None) -> str:
    """The entire page; the same bytes for the same run directory."""
    manifest = run.manifest
    return TEMPLATES.get_template("report.html").render(
        manifest=manifest,
        about=_about(run),
        verdict=verdict,
        thresholds=[
            *(threshold_row(judgement) for judgement in verdict.judgements),
            *(audit_row(audited) for audited in verdict.audits),
        ],
        offence_columns=_OFFENCE_COLUMNS,
        trouble=[finding for finding in verdict.findings if not finding.is_note],
        notes=[finding for finding in verdict.findings if finding.is_note],
        **_charts(run),
        degradation=degradation_view(run, verdict.degradation) if verdict.degradation else None,
        one_run_a_side=ONE_RUN_A_SIDE,
        compared=_compared(run, baseline) if baseline else None,
        worst=list(_worst(run)),
        failures=failures(run.path, MOST_FAILURES, run.events),
        raised=run.raised[:MOST_FAILURES],
        resources=list(_resources(run)),
        bursts=[
            (burst.number, burst.sent, format_duration(burst.spread_s), burst.peak_in_flight, burst.late)
            for burst in bursts(run)
        ],
        rows=_rows(run),
        groups=[_row(row) for row in summary_of_groups(run)],
        outcomes=list(Outcome),
        has_retries=run.manifest.scenario.retries is not None,
        has_unsent=any(row.tally.unsent for row in summary(run)),
        generator=_generator_facts(run),
        selftest=selftest_note(run.path, run.manifest),
        environment=_environment(run),
        scenario_yaml=yaml.safe_dump(
            manifest.scenario.model_dump(mode="json", exclude_defaults=True), sort_keys=False, allow_unicode=True
        ),
    )


def _charts(run: Run) -> dict[str, Any]:
    """The charts, by their names in the template."""
    seconds, response_times = over_time(run), answered(run.intervals)
    return {
        "load_chart": charts.load_chart(run, seconds.counts),
        "heat_chart": charts.heat_chart(run, response_times),
        "endpoints_chart": charts.endpoints_chart(run, response_times, busiest(run, MOST_ENDPOINTS)),
        "groups_chart": charts.groups_chart(run),
        "spectrum_chart": charts.spectrum_chart(charts.spectrum_of(run), charts.spectra_of_groups(run)),
        "outcomes_chart": charts.outcomes_chart(run, seconds.outcomes),
        "generator_chart": charts.generator_chart(run),
        "target_chart": charts.target_chart(run),
    }


def _about(run: Run) -> str:
    """The run's date, target and loadproof's revision."""
    manifest = run.manifest
    target = manifest.target.address or f"{manifest.target.kind} target"
    target += f", release {manifest.release}" if manifest.release else ""
    return " · ".join([date_text(manifest.start_unix_s), target, f"loadproof at revision {manifest.revision}"])


def _rows(run: Run) -> list[dict[str, Any]]:
    rows = summary(run)
    ok = {
        row.phase.name for row in rows if row.endpoint is None and row.tally.outcomes[Outcome.OK] == row.tally.offered
    } - {row.phase.name for row in rows if row.tally.unsent}
    return [{**_row(row), "phase_is_ok": row.phase.name in ok} for row in rows]


def _row(row: SummaryRow) -> dict[str, Any]:
    ratio = row.goodput_ratio
    return {
        "phase": phase_name(row.phase),
        "endpoint": row.endpoint,
        "offered": offered_text(row),
        "throughput": f"{row.throughput_rps:.1f}",
        "goodput_ratio": format_quantity(ratio.value, Dimension.RATIO) if ratio else "–",
        "outcomes": [row.tally.outcomes[outcome] for outcome in Outcome],
        "unsent": row.tally.unsent,
        "dropped": row.tally.dropped,
        "repeated": row.tally.repeated,
        "retried": row.tally.retried,
        "response": [_value(estimate) for estimate in row.response.values()],
        "service": [_value(estimate) for estimate in row.service.values()],
        "connections": _count(row.parts["connect"][0.5]),
        "parts": [_value(quantiles[q]) for quantiles in row.parts.values() for q in (0.5, 0.95)],
    }


def _compared(run: Run, baseline: Run) -> dict[str, Any]:
    """The comparison with the baseline: each phase and endpoint, and other differences."""
    return {
        "run_id": baseline.manifest.run_id,
        "rows": [
            {
                "phase": phase_name(change.candidate.phase),
                "endpoint": change.candidate.endpoint,
                "cells": [
                    cell
                    for was, now in change.quantiles()
                    for cell in (_value(was), _value(now), _percent_more(was, now))
                ],
            }
            for change in changes(run, baseline)
        ],
        "differences": differences(run, baseline),
    }


def _percent_more(was: Estimate | None, now: Estimate | None) -> str:
    return f"{now.value / was.value - 1:+.1%}" if was and now and was.value > 0 else "–"


def _worst(run: Run) -> Iterator[tuple[str, ...]]:
    """The rows with most failures, then the slowest."""
    rows = [row for row in summary(run) if row.endpoint and not row.phase.warm_up and row.tally.offered]
    for row in sorted(rows, key=badness, reverse=True)[:MOST_WORST]:
        wrong = {outcome: count for outcome, count in row.tally.outcomes.items() if count and outcome is not Outcome.OK}
        ended = ", ".join(f"{count:,} {outcome}" for outcome, count in wrong.items()) or "all ok"
        yield row.endpoint or "", row.phase.name, ended, _value(row.response[0.95]), _value(row.response[0.99])


def _count(estimate: Estimate | None) -> int:
    return estimate.n if estimate else 0


def _value(estimate: Estimate | None) -> str:
    return format_duration(estimate.value) if estimate else "–"


def _generator_facts(run: Run) -> str:
    """One sentence on how hard the generator worked."""
    if run.generator.empty:
        return "The generator left no samples of its own health."
    worst = run.generator.max(numeric_only=True)
    return (
        f"At its busiest second the generator used {worst['cpu_ratio']:.0%} of a core; its event loop was late by at "
        f"most {format_duration(float(worst['loop_delay_s']))}. {_lateness(run)}"
    )


def _lateness(run: Run) -> str:
    """A sentence on the start lag of all requests, including warm-up; empty without requests."""
    counts = histogram(run.intervals, "lag")
    n = int(counts.sum())
    if not n:
        return ""
    p50, p99 = (format_duration(value_at_rank(counts, math.ceil(q * n)) * 1e-6) for q in (0.5, 0.99))
    late = int(counts[LOWER_US >= LATE_US].sum())
    limit = format_duration(LATE_US * 1e-6)
    return f"Start lag was {p50} at p50 and {p99} at p99; {late:,} of {n:,} requests began more than {limit} late."


def _resources(run: Run) -> Iterator[tuple[str, ...]]:
    """The target's resources at the start and end of the measured phases, and their maximum, without warm-up."""
    measured_s = min((span.start_s for span in run.phases if not span.warm_up), default=0.0)
    for metric, (name, shown) in _HELD.items():
        values = run.target[(run.target["metric"] == metric) & (run.target["time_s"] >= measured_s)]["value"]
        if len(values):
            yield name, *(shown(float(value)) for value in (values.iloc[0], values.iloc[-1], values.max()))


def _shared_in(redis: RedisFacts | None) -> str:
    if redis is None:
        return ""
    return "a Redis server of this run" if redis.started_by_run else redis.address


def _reached(target: TargetFacts) -> dict[str, str]:
    """How the target was reached: certificates and proxy."""
    tls = target.tls
    authorities = "nothing (verify: false)" if tls and not tls.verify else " and ".join(target.authorities.values())
    certificate = tls.client_certificate if tls else None
    return {
        "certificates verified against": authorities,
        "client certificate": certificate or "",
        "proxy": target.proxy or "",
    }


def _environment(run: Run) -> dict[str, str]:
    manifest = run.manifest
    limits = ", ".join(f"{name} {limit_text(limit)}" for name, limit in manifest.target.limits.items())
    only_here = {
        **_reached(manifest.target),
        "FAULTS of the target": manifest.target.faults or "",
        "limits shared in": _shared_in(manifest.target.redis),
    }
    return {
        "run": manifest.run_id,
        "ended": f"{manifest.ending} {manifest.ending_detail}".strip(),
        "target": f"{manifest.target.address} ({manifest.target.kind})",
        "declared limits per client": limits or "none",
        **{name: text for name, text in only_here.items() if text},
        "seed": str(manifest.seed),
        "workers": str(manifest.workers),
        "revision": manifest.revision,
        **({"release": manifest.release} if manifest.release else {}),
        **manifest.host,
        "versions": ", ".join(f"{name} {version}" for name, version in manifest.versions.items()),
    }
