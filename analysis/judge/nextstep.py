"""Finds what to do after a verdict that thresholds decided: where to look, or what it would take to decide."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from loadproof.analysis.estimates.estimate import quantile_estimates, ratio_estimate
from loadproof.analysis.estimates.metrics import QUANTILES
from loadproof.analysis.estimates.misses import misses_of
from loadproof.analysis.estimates.scope import Scope, rows_of
from loadproof.analysis.estimates.summary import summary
from loadproof.analysis.frames.cellsums import histogram
from loadproof.analysis.judge.finding import RESTORE_RUN
from loadproof.analysis.judge.judgement import TOO_CLOSE, Compliance, Judgement, Wanting
from loadproof.analysis.judge.outage import outage_of
from loadproof.analysis.word import Word
from loadproof.outcome import Outcome
from loadproof.units import format_duration, sentence

if TYPE_CHECKING:
    from loadproof.analysis.estimates.estimate import Estimate
    from loadproof.analysis.estimates.summary import SummaryRow
    from loadproof.analysis.frames.run import Run
    from loadproof.analysis.frames.traffic import Traffic
    from loadproof.scenario.scenario import Threshold

_PARTS: Final = {
    "recovery": "Recovery in the report, and check what kept the load up: retries, full queues, lost caches",
    "drift": "the drift in the report, and check what keeps growing: leaks, tables, logs",
}
"""Parts of the report, for metrics that don't belong to a single phase and endpoint."""
_QUANTILE_OF: Final = {"max": 1.0}
"""By the name of a metric without a quantile of its own."""


def next_step(deciding: list[tuple[Threshold, Judgement]], run: Run) -> str:
    """What to do about an outage, if one of the deciding thresholds saw one; otherwise what the first of them needs."""
    outages = (
        outage_step(judgement, run.read_by(one), Scope.of(one, run.manifest.scenario)) for one, judgement in deciding
    )
    outage = next(filter(None, outages), None)
    if outage:
        return outage
    threshold, first = deciding[0]
    if first.estimate is None and run.damage:
        return f"{sentence(RESTORE_RUN)}: {run.damage[0]}."
    if first.word is Word.INCONCLUSIVE and (needed := _needed(threshold, first)):
        return needed
    place = _PARTS.get(threshold.expectation.metric.name) or _worst_place(threshold, run, first.window_s)
    if first.word is Word.INCONCLUSIVE:
        return f"Look at {place}. A longer run will show whether this happens every time."
    return f"Look at {place}. Then fix the target, or correct the threshold."


def _needed(threshold: Threshold, judgement: Judgement) -> str | None:
    """What it would take to decide; None if the target already missed the limit in this run."""
    if threshold.expectation.of_baseline:
        return _needed_beside_baseline(judgement.wanting)
    if judgement.reason.endswith(TOO_CLOSE):
        return "The target is right at its limit: change the threshold or the target; a longer run won't decide it."
    if threshold.expectation.metric.kind.from_disturbance:
        return _needed_for_recovery(judgement.estimate)
    if judgement.in_this_run is Compliance.MISSED:
        return None
    if judgement.window_s is not None:
        return "Send more per second, or judge longer windows; so far nothing shows that the target is at fault."
    return "Run longer or with more requests; so far nothing shows that the target is at fault."


def _needed_for_recovery(estimate: Estimate | None) -> str:
    """What to do if a recovery could not be judged, was not seen in the time observed, or took as long as the limit."""
    if estimate is None:
        return "Find out why the phase before the trigger was not calm or was too short, then run again."
    if math.isinf(estimate.value):
        return (
            "Let the phase after the trigger last longer than the limit, then run again: recovery was not seen in it."
        )
    return "Recovery took as long as the limit, to the second: run again to see if it always does, or change the limit."


def _needed_beside_baseline(wanting: Wanting | None) -> str:
    """What would decide a threshold on the baseline: more runs of both releases, never a longer run."""
    match wanting:
        case Wanting.ALL_RUNS:
            return "Wait for the gate's other runs: comparing all of them decides this threshold."
        case Wanting.SAMPLES:
            return "Check the reports for why one side measured nothing; more runs won't help until it does."
        case Wanting.RUNS:
            return (
                "Make several runs of each release: `loadproof gate SCENARIO --runs 5 --baseline DIR` makes five of "
                "this one, and compares them with the last release's in DIR."
            )
        case None:
            return "Make more runs of each release, alternately: the change is still on both sides of the limit."


def outage_step(judgement: Judgement, traffic: Traffic, scope: Scope) -> str | None:
    """What to do about the outage that a threshold saw; None if it saw none."""
    expectation = judgement.threshold.expectation
    if expectation.window_s is not None or expectation.of_baseline:
        return None
    outage = outage_of(misses_of(expectation, traffic, scope), traffic)
    if outage is None:
        return None
    why = "Check the target's logs for that time"
    then = ", then fix it, or correct the threshold" if judgement.word is Word.FAIL else ": it may happen again"
    return f"{sentence(outage.text(traffic, expectation))}. {why}{then}."


def _worst_place(threshold: Threshold, run: Run, window_s: tuple[int, int] | None) -> str:
    """The phase and endpoint with most failures among those that a threshold reads, or the slowest if none failed.

    For a threshold on times the slowest, because it doesn't read failures.
    Within the deciding window, if windows were judged.
    """
    scope = Scope.of(threshold, run.manifest.scenario)
    read = run.read_by(threshold)
    phases, when = scope.phases, ""
    if window_s is not None:
        start_s, end_s = window_s
        read = read.with_intervals(read.intervals[read.intervals["second"].between(start_s, end_s, "left")])
        phases = tuple(span.name for span in run.phases if span.start_s <= start_s < span.end_s)
        when = f" from {format_duration(start_s)} to {format_duration(end_s)}"
    rows = [row for row in summary(read) if row.endpoint in scope.endpoints and row.phase.name in phases]
    if not rows:
        # Only a locustfile's requests are unknown beforehand.
        return f"why {' + '.join(scope.endpoints) or 'a request'} was never sent"
    if threshold.expectation.metric.kind.reads_times and (slowest := _slowest(rows, threshold, read)):
        row, what = slowest
    else:
        row = max(rows, key=badness)
        what = _worst_of(row)
    return f"{row.endpoint} in {row.phase.name}{when}{what}"


def _worst_of(row: SummaryRow) -> str:
    """The clause on what is wrong there: failures, what was not sent, or slowness."""
    wrong = {outcome: count for outcome, count in row.tally.outcomes.items() if outcome is not Outcome.OK}
    p95 = row.response[0.95]
    if any(wrong.values()):
        most = max(wrong, key=wrong.__getitem__)
        return f", where {wrong[most]:,} of {row.tally.sent:,} requests ended in {most}"
    if row.tally.dropped:
        return f", where {row.tally.dropped:,} of {row.tally.offered:,} requests could not even be sent"
    return f", where p95 is {format_duration(p95.value)}" if p95 else ""


def _slowest(rows: list[SummaryRow], threshold: Threshold, read: Run) -> tuple[SummaryRow, str] | None:
    """The slowest of these rows by the times that a threshold reads, and the clause on them; failures have no say.

    By a quantile near the threshold's. None if no row has such times.
    """
    wanted = threshold.expectation.metric.quantile or _QUANTILE_OF.get(threshold.expectation.metric.name, 0.95)
    quantile = min(QUANTILES, key=lambda one: abs(one - wanted))
    timed = [(estimate, row) for row in rows if (estimate := _time_of(row, quantile, threshold, read))]
    if not timed:
        return None
    estimate, row = max(timed, key=lambda each: each[0].low)
    ways = [*({threshold.series} - {"response"}), *({str(threshold.outcome)} - {str(Outcome.OK)})]
    of = f" ({', '.join(ways)})" if ways else ""
    return row, f", where p{quantile * 100:.10g}{of} is {format_duration(estimate.value)}"


def _time_of(row: SummaryRow, quantile: float, threshold: Threshold, read: Run) -> Estimate | None:
    if threshold.outcome is Outcome.OK:
        return {"response": row.response, "service": row.service, **row.parts}[threshold.series][quantile]
    scope = Scope((row.phase.name,), (row.endpoint or "",), threshold.outcome, threshold.series)
    return quantile_estimates(histogram(rows_of(read, scope), scope.series, scope.outcome), (quantile,))[quantile]


def badness(row: SummaryRow) -> tuple[float, float]:
    """A sort key: the share that did not end ok, then p95.

    Both are lower bounds, so that 1 failure of 2 requests isn't worse than 40 of 100.
    """
    p95, offered = row.response[0.95], row.tally.offered
    bad = ratio_estimate(offered - row.tally.outcomes[Outcome.OK], offered)
    return bad.low if bad else 0.0, p95.low if p95 else 0.0
