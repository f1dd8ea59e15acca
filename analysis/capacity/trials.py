"""Turns the run of a trial into what a search needs: the loss of each goal, or why the trial is invalid."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from loadproof.analysis.estimates.metrics import counted_estimate, counted_in, ratio_parts
from loadproof.analysis.estimates.scope import Scope, answers_of, rows_of, tally
from loadproof.analysis.frames.cellsums import histogram
from loadproof.analysis.judge.disturbances import disturbances, disturbed_phases
from loadproof.analysis.judge.health import set_up, why_invalid
from loadproof.analysis.judge.usercode import raised, sent_elsewhere
from loadproof.analysis.word import Word
from loadproof.histogram import MIDPOINT_US
from loadproof.outcome import DROPPED, Outcome
from loadproof.plan.trials import PLACES_OF_S, TRIAL, Goal
from loadproof.rundir.trials import GoalLoss, Stage, Trial
from loadproof.scenario.thresholds.expectation import Metric
from loadproof.scenario.thresholds.metrics import OFFERED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadproof.analysis.frames.run import Run
    from loadproof.plan.phases import PhaseSpan

LATE = "late"
"""Answers that were correct but came after the scenario's deadline."""


def trial_in(run: Run, goals: Sequence[Goal], *, number: int, stage: Stage) -> Trial:
    """Summarise a run as a trial; one that held says nothing if its users did not send what they were to send."""
    span = next(span for span in run.phases if span.name == TRIAL)
    # Rounded as phases are written: a rounding error would make it shorter than requested, so not a full trial.
    scope, lasted_s = Scope((TRIAL,), run.endpoints), round(span.end_s - span.start_s, PLACES_OF_S)
    counts, p95 = tally(rows_of(run, scope)), counted_estimate(Metric("p", quantile=0.95), run, scope)
    outcomes = {str(outcome): count for outcome, count in counts.outcomes.items()}
    trial = Trial(
        number=number,
        stage=stage,
        load_rps=span.rate_rps or 0.0,
        duration_s=lasted_s,
        run=run.path.name,
        invalid=why_invalid(run),
        ending=run.manifest.ending,
        losses=[loss_in(run, goal) for goal in goals],
        offered=counts.offered,
        throughput_rps=_answered(run, span) / lasted_s,
        goodput_rps=counts.good / lasted_s,
        p95_s=p95.value if p95 else None,
        outcomes={**outcomes, DROPPED: counts.dropped, LATE: counts.outcomes[Outcome.OK] - counts.good},
    )
    return trial.model_copy(update={"invalid": _why_less(run)}) if trial.is_valid and trial.is_kept else trial


def _why_less(run: Run) -> str | None:
    """Why the target may have received less than intended, by users' own code; None if nothing shows that."""
    findings = (finding for rule in (set_up, raised, sent_elsewhere) for finding in rule(run))
    return next((finding.what for finding in findings if finding.word is Word.INCONCLUSIVE), None)


def _answered(run: Run, span: PhaseSpan) -> int:
    """Correct answers that arrived in the trial's whole seconds, whenever they were requested."""
    answers = answers_of(run.intervals, run.endpoints)
    inside = answers["second"].between(math.ceil(span.start_s), span.end_s, "left")
    return int(answers[inside & (answers["outcome"] == Outcome.OK)]["count"].sum())


def loss_in(run: Run, goal: Goal) -> GoalLoss:
    """How many of its requests a goal lost: of the planned ones for a time, of its ratio's denominator for a ratio."""
    expectation = goal.threshold.expectation
    scope = Scope.of(goal.threshold, run.manifest.scenario)
    rows = rows_of(run, scope)
    if expectation.metric.kind.is_ratio:
        hits, sizes = ratio_parts(expectation.metric, rows)
        counted, of = int(hits["count"].sum()), int(sizes["count"].sum())
        lost = counted if expectation.wants_low else of - counted
    else:
        of = int(counted_in(rows, OFFERED)["count"].sum())
        in_time = histogram(rows, "response", Outcome.OK)[expectation.limit * 1e6 >= MIDPOINT_US]
        lost = of - int(in_time.sum())
    return GoalLoss(goal=goal.name, lost=lost, of=of, allowed=goal.loss_ratio)


def ceiling_in(run: Run) -> tuple[float, str]:
    """The highest rate that the generator sent on time in this run of rising steps, and what disturbed the next step.

    0 if no step was on time; the text is empty if all were.
    """
    disturbed, highest = disturbed_phases(run), 0.0
    for span in run.phases:
        if span.name in disturbed:
            what = next((finding.what for finding in disturbances(run) if finding.word is Word.INVALID), "")
            return highest, what or f"it was late at {span.rate_rps:,.4g} rps"
        if not span.warm_up:
            highest = span.rate_rps or 0.0
    return highest, ""
