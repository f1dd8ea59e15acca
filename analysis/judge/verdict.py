"""Turns judgements, findings and audits into one verdict, the worst of them: INVALID, FAIL, INCONCLUSIVE, PASS."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from loadproof.analysis.audit.auditing import audits_of
from loadproof.analysis.estimates.changes import NOTICED, largest_moves
from loadproof.analysis.estimates.estimate import ratio_estimate
from loadproof.analysis.estimates.misses import misses_of
from loadproof.analysis.estimates.scope import Scope
from loadproof.analysis.estimates.summary import summary
from loadproof.analysis.judge.degradation import Degradation, degradation_of, notes
from loadproof.analysis.judge.finding import Finding
from loadproof.analysis.judge.health import findings_in
from loadproof.analysis.judge.judgement import (
    ONE_RUN_A_SIDE,
    TOO_CLOSE,
    Compliance,
    Judgement,
    Wanting,
)
from loadproof.analysis.judge.outage import outage_of
from loadproof.analysis.judge.thresholds import judge_threshold
from loadproof.analysis.word import Word
from loadproof.errors import ExitCode
from loadproof.outcome import Outcome
from loadproof.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadproof.analysis.audit.audit import Audited
    from loadproof.analysis.estimates.changes import Move
    from loadproof.analysis.estimates.estimate import Estimate
    from loadproof.analysis.estimates.summary import SummaryRow
    from loadproof.analysis.frames.run import Run
    from loadproof.analysis.frames.traffic import Traffic
    from loadproof.rundir.manifest import Manifest
    from loadproof.scenario.scenario import Threshold

PRECEDENCE: Final = (Word.INVALID, Word.FAIL, Word.INCONCLUSIVE, Word.PASS)
EXIT_CODES: Final = {
    Word.PASS: ExitCode.PASS,
    Word.FAIL: ExitCode.FAIL,
    Word.INCONCLUSIVE: ExitCode.INCONCLUSIVE,
    Word.INVALID: ExitCode.INVALID,
}


@dataclass(frozen=True)
class Verdict:
    word: Word
    reason: str
    """One sentence with the deciding numbers."""
    next_step: str
    judgements: tuple[Judgement, ...]
    findings: tuple[Finding, ...]
    degradation: Degradation | None = None
    """None for other tools' files."""
    beside: str | None = None
    """A sentence on what changed from the baseline, if one was given."""
    audits: tuple[Audited, ...] = ()
    """One for each threshold that names an audit."""


def verdict_on_run(run: Run, baseline: Run | None = None, beside_runs: Sequence[Judgement] = ()) -> Verdict:
    """Judge a run on its scenario's thresholds, some of which may need a baseline.

    `beside_runs`, if given, are judgements by several runs, one for each threshold on the baseline, in their order.
    """
    given = iter(beside_runs)
    judgements = tuple(
        next(given) if beside_runs and threshold.expectation.of_baseline else judge_threshold(threshold, run, baseline)
        for threshold in run.manifest.scenario.thresholds
    )
    degradation = degradation_of(run)
    findings = (*findings_in(run), *notes(degradation))
    audits = audits_of(run)
    words = {judgement.word for judgement in judgements} | {finding.word for finding in findings}
    words |= {audited.word for audited in audits}
    word = next(word for word in PRECEDENCE if word in words)
    deciding_finding = next((finding for finding in findings if finding.word is word), None)
    deciding = [judgement for judgement in judgements if judgement.word is word]
    moves = largest_moves(run, baseline) if baseline else []
    if word is Word.PASS:
        reason = f"{all_hold(len(judgements) + len(audits))}, and the generator kept up"
        reason += "".join(f"; but {finding.what}" for finding in findings if finding.qualifies)
        next_step = _next_after_pass(moves)
    elif deciding_finding is not None:
        reason, next_step = deciding_finding.what, f"{sentence(deciding_finding.remedy)}."
    elif not deciding:
        broken = [audited for audited in audits if audited.word is word]
        reason, next_step = _of_audits(broken)
    else:
        reason = deciding_reason(deciding)
        thresholds = zip(run.manifest.scenario.thresholds, judgements, strict=True)
        pairs = [(threshold, judgement) for threshold, judgement in thresholds if judgement.word is word]
        next_step = _next_step(pairs, run)
    beside = _beside(moves, baseline) if baseline else None
    return Verdict(word, sentence(reason) + ".", next_step, judgements, findings, degradation, beside, audits)


def _of_audits(deciding: Sequence[Audited]) -> tuple[str, str]:
    """Reason and next step if only audits decide."""
    first = deciding[0]
    reason = f"audit of {first.audit}: {first.reason}"
    if first.word is Word.INCONCLUSIVE:
        return reason, "Give the audit the samples it lacks (listed under Audits in the report), then run again."
    return reason, "Look at the offending requests in audit.json. Then fix the target, or correct what it declares."


def _next_after_pass(moves: Sequence[Move]) -> str:
    if moves and moves[0].worse > 0:
        return (
            f"Check what got worse before you keep this run as a baseline: {moves[0].what}. "
            "Several runs of each release will show whether it is more than noise."
        )
    return "Nothing to do. Keep this run as the baseline of the next release."


def _beside(moves: Sequence[Move], baseline: Run) -> str:
    """The worst change, or the best if nothing got worse, and how many more there are."""
    name = baseline.manifest.run_id
    if not moves:
        return f"Compared with {name}: no time changed by {NOTICED:.0%} or more, nor the goodput ratio."
    first = moves[0] if moves[0].worse > 0 else moves[-1]
    more = f", and {len(moves) - 1} more changed by {NOTICED:.0%} or more" if len(moves) > 1 else ""
    return f"Compared with {name}: {first.what}{more}; {ONE_RUN_A_SIDE}."


def unwritten(verdict: Verdict, reason: str, remedy: str) -> Verdict:
    """The verdict if its files can't be written: INVALID, because nobody could check the evidence for another one."""
    findings = (*verdict.findings, Finding(Word.INVALID, reason, remedy))
    if verdict.word is Word.INVALID:
        return replace(verdict, findings=findings)
    why, next_step = f"{sentence(reason)}.", f"{sentence(remedy)}."
    return replace(verdict, word=Word.INVALID, reason=why, next_step=next_step, findings=findings)


def exit_code(verdict: Verdict, manifest: Manifest) -> ExitCode:
    """The program's exit code: a signal's takes precedence over the verdict's."""
    match manifest.ending:
        case "interrupted":
            return ExitCode.INTERRUPTED
        case "terminated":
            return ExitCode.TERMINATED
        case _:
            return EXIT_CODES[verdict.word]


def all_hold(n: int) -> str:
    """How the reason for a PASS begins, for this many thresholds."""
    if n == 2:
        return "both thresholds were met"
    return f"all {n:,} thresholds were met" if n > 1 else "the threshold was met"


def deciding_reason(deciding: list[Judgement]) -> str:
    """The first of the deciding judgements, and how many more there are."""
    judgement, others = deciding[0], len(deciding) - 1
    threshold = judgement.threshold
    more = "" if others == 0 else f" (and {others} more threshold{'s' if others > 1 else ''})"
    # A judgement's reason begins with the value, if there is one.
    metric = f"{threshold.expectation.metric} is " if judgement.estimate is not None else ""
    seen = f"{metric}{judgement.reason} (expected {threshold.expect})"
    return f"{threshold.scope}: {seen}{more}"


_PARTS: Final = {
    "recovery": "Recovery in the report, and check what kept the load up: retries, full queues, lost caches",
    "drift": "the drift in the report, and check what keeps growing: leaks, tables, logs",
}
"""Parts of the report, for metrics that don't belong to a single phase and endpoint."""


def _next_step(deciding: list[tuple[Threshold, Judgement]], run: Run) -> str:
    """What to do about an outage, if one of the deciding thresholds saw one; otherwise what the first of them needs."""
    outages = (
        outage_step(judgement, _read_by(one, run), Scope.of(one, run.manifest.scenario)) for one, judgement in deciding
    )
    outage = next(filter(None, outages), None)
    if outage:
        return outage
    threshold, first = deciding[0]
    if first.estimate is None and run.damage:
        return f"Restore the run directory as the run left it, or run again: {run.damage[0]}."
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


def _read_by(threshold: Threshold, run: Run) -> Run:
    """The run with its groups if the threshold reads one, otherwise with its requests."""
    return run.of_groups if run.manifest.scenario.group_of(threshold) else run


def _worst_place(threshold: Threshold, run: Run, window_s: tuple[int, int] | None) -> str:
    """The phase and endpoint with most failures among those that a threshold reads, or the slowest if none failed.

    Within the deciding window, if windows were judged.
    """
    scope = Scope.of(threshold, run.manifest.scenario)
    read = _read_by(threshold, run)
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
    worst = max(rows, key=badness)
    place = f"{worst.endpoint} in {worst.phase.name}{when}"
    wrong = {outcome: count for outcome, count in worst.tally.outcomes.items() if outcome is not Outcome.OK}
    p95 = worst.response[0.95]
    if any(wrong.values()):
        most = max(wrong, key=wrong.__getitem__)
        return f"{place}, where {wrong[most]:,} of {worst.tally.sent:,} requests ended in {most}"
    if worst.tally.dropped:
        return f"{place}, where {worst.tally.dropped:,} of {worst.tally.offered:,} requests could not even be sent"
    return f"{place}, where p95 is {format_duration(p95.value)}" if p95 else place


def badness(row: SummaryRow) -> tuple[float, float]:
    """A sort key: the share that did not end ok, then p95.

    Both are lower bounds, so that 1 failure of 2 requests isn't worse than 40 of 100.
    """
    p95, offered = row.response[0.95], row.tally.offered
    bad = ratio_estimate(offered - row.tally.outcomes[Outcome.OK], offered)
    return bad.low if bad else 0.0, p95.low if p95 else 0.0


def sentence(text: str) -> str:
    """The text with a capital first letter; the rest is unchanged, because it may contain names."""
    return text[:1].upper() + text[1:]
