"""Determines how soon a run recovered from faults within a phase, and which recovery a threshold reads.

The phase's seconds before its first fault count as calm. As the load is the same before and after it, goodput also has
to come back in requests per second: users who wait, back off or have given up send less, and what they do send may be
answered well.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from loadproof.analysis.estimates.calm import GOODPUT_SHARE, Calm, seconds_between
from loadproof.analysis.estimates.estimate import Estimate
from loadproof.analysis.estimates.recovery import Aftermath, Recovery, lost_in, recovery_in, unrest_before, unrest_in
from loadproof.analysis.frames.cellsums import among
from loadproof.analysis.frames.faults import faults_in
from loadproof.plan.evidence import CALM_SECONDS
from loadproof.plan.faultspans import Incident, fault_spans, merged
from loadproof.scenario.faults import Kill, Restart
from loadproof.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from loadproof.analysis.estimates.scope import Scope
    from loadproof.analysis.frames.run import Run
    from loadproof.plan.phases import PhaseSpan
    from loadproof.scenario.thresholds.expectation import Metric


def recovery_estimate(_: Metric, run: Run, scope: Scope) -> Estimate | None:
    """How long recovery took in s, to the second; infinite if there was none, with the observed time as lower bound.

    In a phase with faults, the slowest recovery from any of them; otherwise recovery from the phase before.
    """
    phase = scope.phases[0]
    if not has_faults(run, phase):
        recovery = recovery_in(run, phase, scope.endpoints)
        return None if recovery is None else _estimated(recovery)
    estimates = [_estimated(recovery) for recovery in recoveries_from_faults(run, phase, scope.endpoints)]
    if not estimates or max(estimate.n for estimate in estimates) < CALM_SECONDS:
        return None
    slowest = max(estimates, key=lambda estimate: (estimate.value, estimate.low))
    return replace(slowest, low=max(estimate.low for estimate in estimates))


def _estimated(recovery: Recovery) -> Estimate:
    if recovery.took_s is None:
        fewest_s = max(0.0, recovery.looked_s - CALM_SECONDS)
        return Estimate(math.inf, fewest_s, math.inf, recovery.looked_s, confidence=1.0)
    return Estimate(recovery.took_s, max(0.0, recovery.took_s - 1), recovery.took_s, recovery.looked_s, confidence=1.0)


def why_unknown(run: Run, phase: str, endpoints: tuple[str, ...]) -> str | None:
    """Why a phase can't show a recovery; None if it simply has no samples."""
    if not has_faults(run, phase):
        unrest = unrest_before(run, phase, endpoints)
        return unrest and f"nothing to compare with: {unrest}"
    if not _incidents(run, phase)[1]:
        return f"no fault of {phase} began and ended"
    if unrest := unrest_before_faults(run, phase, endpoints):
        return f"nothing to compare with: {unrest}"
    recoveries = recoveries_from_faults(run, phase, endpoints)
    if not recoveries:
        return f"nothing to compare with: too little was measured in {phase} before its first fault"
    looked = format_duration(recoveries[-1].looked_s)
    return f"only {looked} were measured after {recoveries[-1].trigger}; it takes {CALM_SECONDS} s as before to tell"


def unrest_before_faults(run: Run, phase: str, endpoints: tuple[str, ...]) -> str | None:
    """A clause if the phase was not calm before its first fault; None if it was, or has no fault."""
    span, incidents = _incidents(run, phase)
    before = [_before(run, _rows(run, endpoints), span, first) for first in incidents[:1]]
    return unrest_in(before[0], f"{phase} before its first fault") if before else None


def has_faults(run: Run, phase: str) -> bool:
    """Whether faults were planned for this phase."""
    return any(fault.phase == phase for fault in run.manifest.scenario.faults)


def recoveries_from_faults(run: Run, phase: str, endpoints: tuple[str, ...]) -> list[Recovery]:
    """A recovery for each fault that ended in the phase in which it began; empty if there is no calm to compare with.

    Overlapping faults count as one.
    """
    span, incidents = _incidents(run, phase)
    if not incidents:
        return []
    rows = _rows(run, endpoints)
    was = _before(run, rows, span, incidents[0])
    kept = GOODPUT_SHARE * _fewest_in_step(run, endpoints)
    calm = Calm.of(was, deadline_s=run.deadline_of(endpoints), may_be_idle=True, kept=kept)
    if calm is None:
        return []
    ends_s = [incident.start_s for incident in incidents[1:]] + [span.end_s]
    return [
        _recovery(run, rows, incident, until_s=end_s, was=was, calm=calm, phase=phase)
        for incident, end_s in zip(incidents, ends_s, strict=True)
    ]


def _recovery(
    run: Run, rows: pd.DataFrame, incident: Incident, *, until_s: float, was: pd.DataFrame, calm: Calm, phase: str
) -> Recovery:
    """The recovery from one incident, looked for until the next one or the phase's end."""
    became = seconds_between(run, rows, math.floor(incident.end_s), until_s)
    first = calm.first_in(became)
    end_s = became.index[first] if first is not None else math.floor(until_s)
    during = seconds_between(run, rows, math.floor(incident.start_s), math.ceil(incident.end_s))
    return Recovery(
        before=phase,
        trigger=incident.text,
        phase=phase,
        began_s=incident.start_s,
        ended_s=incident.end_s,
        took_s=None if first is None else max(0.0, float(end_s) - incident.end_s),
        looked_s=max(0, math.floor(math.floor(incident.end_s) + len(became) - incident.end_s)),
        p95_bound_s=calm.p95_bound_s,
        drained_s=None,
        lost=lost_in(rows, math.floor(incident.start_s), end_s),
        was_hurt=2 * int(calm.alike(during).sum()) < len(during),
        aftermath=Aftermath.of(rows, was, became) if first is None else None,
    )


def _incidents(run: Run, phase: str) -> tuple[PhaseSpan, list[Incident]]:
    """The phase, and the incidents in it."""
    span = next(span for span in run.phases if span.name == phase)
    return span, merged(_happened(run, span))


def _happened(run: Run, span: PhaseSpan) -> Iterator[Incident]:
    """Complete faults that ended before the phase did.

    The time that a target takes to stop and start again counts as its recovery, not as part of the fault.
    """
    planned = {fault.number: fault for fault in fault_spans(run.manifest.scenario.faults, [span])}
    for happened in faults_in(run):
        plan = planned.get(happened.number)
        if plan is None or happened.began_s is None or happened.ended_s is None or happened.trouble is not None:
            continue
        ended_s = happened.ended_s
        if isinstance(plan.fault, Kill | Restart):
            ended_s = min(ended_s, plan.end_s)
        if ended_s < span.end_s:
            yield Incident(happened.text, min(happened.began_s, plan.start_s), ended_s)


def _before(run: Run, rows: pd.DataFrame, span: PhaseSpan, first: Incident) -> pd.DataFrame:
    return seconds_between(run, rows, span.start_s + span.ramp_s, first.start_s)


def _rows(run: Run, endpoints: tuple[str, ...]) -> pd.DataFrame:
    return run.intervals[among(run.intervals["endpoint"], endpoints)]


def _fewest_in_step(run: Run, endpoints: tuple[str, ...]) -> float:
    """The smallest share of their usual requests that closed-model users may send in CALM_SECONDS if all is well.

    Users who all waited for the same fault continue in step: those who send every 7.5 s may have one turn in 10 s
    instead of 1.33 on average.
    """
    scenario = run.manifest.scenario
    groups = scenario.groups
    names = {name for one in endpoints for name in (groups[one].requests if one in groups else (one,))}
    kinds = [mix for kind, mix in scenario.mix.items() if not names.isdisjoint(scenario.requests_of(kind))]
    turns = [(mix.share / mix.every, mix.every) for mix in kinds if mix.every]
    usual = sum(rate for rate, _ in turns)
    fewest = sum(rate * math.floor(CALM_SECONDS / every) * every / CALM_SECONDS for rate, every in turns)
    return fewest / usual if usual else 1.0
