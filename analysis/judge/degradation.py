"""Determines what load did to a run's target: its load curve, recovery from too much load, drift, settling."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from loadproof.analysis.estimates.correlation import FEWEST_SECONDS
from loadproof.analysis.estimates.drift import Drift, drift_in
from loadproof.analysis.estimates.faultrecovery import has_faults, recoveries_from_faults, unrest_before_faults
from loadproof.analysis.estimates.recovery import Recovery, recovery_in, unrest_before
from loadproof.analysis.estimates.scope import Scope, rows_of
from loadproof.analysis.estimates.shedding import Shedding, shedding_in
from loadproof.analysis.estimates.steady import Alike, Settling, settling, too_alike, too_short
from loadproof.analysis.judge.disturbances import disturbed_phases
from loadproof.analysis.judge.finding import Finding
from loadproof.analysis.judge.loadcurve import LoadCurve, load_curve
from loadproof.plan.evidence import CALM_SECONDS
from loadproof.plan.phases import calm_before, level
from loadproof.scenario.thresholds.expectation import Metric
from loadproof.scenario.thresholds.metrics import RESOURCES
from loadproof.units import counted, format_duration

if TYPE_CHECKING:
    from loadproof.analysis.frames.run import Run
    from loadproof.plan.phases import PhaseSpan

LONG_S: Final = 120.0
"""The shortest phase that can drift, in s."""
DRIFTING: Final = (
    *(Metric("p", quantile=quantile) for quantile in (0.5, 0.95, 0.99)),
    Metric("error_ratio"),
    *(Metric(name) for name in RESOURCES),
)


@dataclass(frozen=True)
class Degradation:
    curve: LoadCurve | None
    recoveries: tuple[Recovery, ...]
    unrest: tuple[str, ...]
    """Why recovery can't be determined, one sentence for each phase concerned."""
    drifts: tuple[Drift, ...]
    settling: Settling | None
    too_alike: tuple[Alike, ...]
    too_short: tuple[str, ...]
    """Phases too short to show whether their seconds are correlated."""
    shedding: Shedding | None
    """In the undisturbed measured phases."""


def degradation_of(run: Run) -> Degradation:
    """The degradation of all endpoints together, without phases that measured the generator instead of the target."""
    disturbed, settled = disturbed_phases(run), settling(run)
    names = (span.name for span in run.phases if not span.warm_up)
    measured = Scope(tuple(name for name in names if name not in disturbed), run.endpoints)
    return Degradation(
        curve=load_curve(run),
        recoveries=tuple(_recoveries(run, disturbed)),
        unrest=tuple(_unrest(run, disturbed)),
        drifts=tuple(drift for drift in _drifts(run) if drift.phase not in disturbed),
        settling=None if settled is None or settled.phase in disturbed else settled,
        too_alike=tuple(alike for alike in too_alike(run) if alike.phase not in disturbed),
        too_short=tuple(span.name for span in too_short(run)),
        shedding=shedding_in(run, rows_of(run, measured)),
    )


def _eased(run: Run, disturbed: frozenset[str]) -> Iterator[tuple[PhaseSpan, PhaseSpan]]:
    """Pairs of phases in which the second has no more load than the first, and a calm phase comes before both."""
    spans = run.phases
    for place, (before, span) in enumerate(itertools.pairwise(spans), start=1):
        if not span.warm_up and level(span) <= level(before) and not has_faults(run, span.name):
            calm = calm_before(spans, place)
            if calm is not None and disturbed.isdisjoint(other.name for other in spans[calm : place + 1]):
                yield before, span


def _recoveries(run: Run, disturbed: frozenset[str]) -> Iterator[Recovery]:
    """Recoveries from each fault, from each phase with more load, and from each with the same load that hurt."""
    for span in _faulty(run, disturbed):
        yield from recoveries_from_faults(run, span.name, run.endpoints)
    for before, span in _eased(run, disturbed):
        recovery = recovery_in(run, span.name, run.endpoints)
        if recovery is not None and (level(span) < level(before) or recovery.was_hurt):
            yield recovery


def _faulty(run: Run, disturbed: frozenset[str]) -> Iterator[PhaseSpan]:
    """Undisturbed measured phases with planned faults."""
    for span in run.phases:
        if not span.warm_up and span.name not in disturbed and has_faults(run, span.name):
            yield span


def _unrest(run: Run, disturbed: frozenset[str]) -> Iterator[str]:
    for span in _faulty(run, disturbed):
        if unrest := unrest_before_faults(run, span.name, run.endpoints):
            yield f"recovery in {span.name} can't be determined: {unrest}"
    for before, span in _eased(run, disturbed):
        why = unrest_before(run, span.name, run.endpoints)
        if why is not None and level(span) < level(before):
            yield f"recovery in {span.name} can't be determined: {why}"


def _drifts(run: Run) -> Iterator[Drift]:
    for span in run.phases:
        if span.warm_up or span.bursts_s or span.end_s - span.start_s < LONG_S:
            continue
        scope = Scope((span.name,), run.endpoints)
        for metric in DRIFTING:
            drift = drift_in(run, metric, scope)
            if drift is not None:
                yield drift


def notes(degradation: Degradation) -> Iterator[Finding]:
    """Notes worth mentioning whatever the thresholds are."""
    yield from _collapsed(degradation.curve)
    yield from _ungraceful(degradation.shedding)
    for recovery in degradation.recoveries:
        if recovery.took_s is None and recovery.looked_s >= CALM_SECONDS:
            what = f"metastable: not recovered from {recovery.trigger}, {format_duration(recovery.looked_s)} after it"
            what += f": {recovery.aftermath}"
            yield Finding.note(what, "look for retries, full queues and lost caches that keep the load up")
    for what in degradation.unrest:
        yield Finding.note(what, "compare with a phase in which the target keeps up")
    yield from _too_short(degradation)


def _collapsed(curve: LoadCurve | None) -> Iterator[Finding]:
    if curve is not None and curve.collapse is not None:
        peak, step = curve.collapse.peak, curve.collapse.step
        what = (
            f"goodput collapsed: {peak.goodput_rps:.0f} rps in {peak.phase}, "
            f"{step.goodput_rps:.0f} rps in {step.phase} under a higher load"
        )
        yield Finding.note(what, "refuse excess requests early, before they cost anything")


def _ungraceful(shedding: Shedding | None) -> Iterator[Finding]:
    if shedding is not None and not shedding.is_graceful:
        what = f"{counted(shedding.refused, 'request was', 'requests were')} refused, {shedding}"
        yield Finding.note(what, "refuse before doing any work, and say in Retry-After when to come back")


def _too_short(degradation: Degradation) -> Iterator[Finding]:
    """Notes on a warm-up or phases that were too short."""
    if degradation.too_short:
        phases = ", ".join(degradation.too_short)
        what = f"{phases}: too few seconds to tell how correlated they are; treated as independent"
        yield Finding.note(what, f"let a phase last at least {FEWEST_SECONDS} s if a verdict depends on it")
    settled, unsettled = degradation.settling, ""
    if settled is not None and settled.is_too_late:
        unsettled = settled.phase
        when = "no steady state" if settled.settled_s is None else f"settled after {settled.settled_s} s"
        what = f"response times: {when}; the warm-up ended at {format_duration(settled.warm_up_s)}"
        yield Finding.note(what, "warm up longer, or check what drifts")
    for alike in degradation.too_alike:
        # In a phase that had not settled, that is why its seconds are correlated.
        if alike.phase != unsettled:
            what = (
                f"neighbouring seconds of {alike.phase} are correlated ({alike.correlation:.2f}): "
                f"with only {alike.lasted_s} s of them, intervals are too narrow"
            )
            yield Finding.note(what, f"let it last {format_duration(alike.enough_s)} if the verdict is close")
