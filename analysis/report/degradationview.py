"""Turns what load did to a target into the report's sentences, tables and charts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from loadproof.analysis.estimates.recovery import seconds_around
from loadproof.analysis.judge.judgement import interval_text
from loadproof.analysis.judge.loadcurve import Past
from loadproof.analysis.report.degradationcharts import (
    drift_chart,
    load_curve_chart,
    lost_chart,
    recovery_chart,
    scalability_chart,
)
from loadproof.plan.evidence import CALM_SECONDS
from loadproof.units import Dimension, counted, format_duration, format_quantity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadproof.analysis.estimates.drift import Drift
    from loadproof.analysis.estimates.estimate import Estimate
    from loadproof.analysis.estimates.recovery import Recovery
    from loadproof.analysis.frames.run import Run
    from loadproof.analysis.judge.degradation import Degradation
    from loadproof.analysis.judge.loadcurve import LoadCurve, Step


def degradation_view(run: Run, degradation: Degradation) -> dict[str, Any]:
    """The template's values; parts are empty or None if a run shows nothing of the kind."""
    phases = dict.fromkeys(drift.phase for drift in degradation.drifts)
    shedding = degradation.shedding
    return {
        "shedding": f"{counted(shedding.refused, 'request was', 'requests were')} refused, {shedding}."
        if shedding
        else None,
        "curve": _curve_view(degradation.curve) if degradation.curve else None,
        "recoveries": [
            {
                "text": _recovery_text(recovery),
                "chart": recovery_chart(recovery, seconds_around(run, recovery, run.endpoints), number),
            }
            for number, recovery in enumerate(degradation.recoveries)
        ],
        "drifts": [
            _drift_view([drift for drift in degradation.drifts if drift.phase == phase], phase, number)
            for number, phase in enumerate(phases)
        ],
    }


def _curve_view(curve: LoadCurve) -> dict[str, Any]:
    return {
        "text": list(_curve_text(curve)),
        "chart": load_curve_chart(curve),
        "lost": lost_chart(curve),
        "planned": "Concurrent users" if curve.is_closed else "Arrivals per second; each runs one task of a user",
        "rows": [_step_row(curve, step) for step in (*curve.rising, *curve.falling)],
        "law": scalability_chart(curve, curve.law) if curve.law else None,
    }


def _curve_text(curve: LoadCurve) -> Iterator[str]:
    held, broke, top = curve.held, curve.broke, curve.rising[-1]
    if not curve.sound:
        yield "Nothing can be concluded: the generator was late at every step."
        return
    if broke is None and held is not None:
        beyond = "capacity is above the highest step"
        if curve.collapse:
            beyond = "though goodput collapsed"
        elif held is not top:
            beyond = "nothing can be concluded beyond it"
        yield f"Every goal held up to {_load(curve, held)} ({held.phase}); {beyond}."
    elif broke is not None:
        below = f"every goal held up to {_load(curve, held)} ({held.phase})" if held else "no step held every goal"
        yield f"Capacity: {below}; at {_load(curve, broke)} ({broke.phase}) violated: {broke.broken}."
    elif curve.rising[0].is_sound:
        yield "Too few samples to tell whether the goals held at any step."
    else:
        yield f"How far the goals held can't be determined: the generator was late in {curve.rising[0].phase}."
    if curve.collapse is not None:
        peak, step = curve.collapse.peak, curve.collapse.step
        yield (
            f"Goodput collapsed from {_rps(peak.goodput_rps)} in {peak.phase} to "
            f"{_rps(step.goodput_rps)} in {step.phase}, under more load."
        )
    elif top.past is not None:
        how = f", {top.shedding}" if top.past is Past.SHED else ""
        goodput = f"at {_load(curve, top)} goodput was {_rps(top.goodput_rps)}"
        yield f"No collapse: {goodput}; most of the rest {top.past}{how}."


def _step_row(curve: LoadCurve, step: Step) -> dict[str, Any]:
    ratio = step.goodput_ratio
    return {
        "phase": step.phase,
        "word": step.word,
        "broken": step.broken,
        "cells": [
            _load(curve, step),
            _rps(step.offered_rps),
            _rps(step.goodput_rps),
            format_quantity(ratio.value, Dimension.RATIO) if ratio else "–",
            *(_duration(estimate) for estimate in step.response.values()),
            f"{step.in_flight:,.1f}",
        ],
        "past": _past_text(step),
    }


def _past_text(step: Step) -> str:
    if step.past is Past.SHED and step.shedding:
        return f"{step.past}, {'' if step.shedding.is_graceful else 'not '}gracefully"
    return step.past or "–"


def _recovery_text(recovery: Recovery) -> str:
    """One sentence on a recovery."""
    is_within = recovery.before == recovery.phase
    where = f"After {recovery.trigger}" + (f" in {recovery.phase}" if is_within else "")
    requests = counted(recovery.lost, "request was", "requests were")
    lost = f"{requests} not goodput until then" if recovery.lost else "nothing was lost"
    if recovery.took_s is None:
        word = " (metastable)" if recovery.looked_s >= CALM_SECONDS else ""
        told = f"not back to normal within {format_duration(recovery.looked_s)}{word}; {recovery.aftermath}"
        return f"{where}: {told}; {lost}."
    soon = f"after {format_duration(recovery.took_s)}" if recovery.took_s else "at once"
    drained = ""
    if recovery.drained_s is not None:
        drained = f"its last request had ended {format_duration(recovery.drained_s)} in, "
    level = "the level before it" if is_within else f"the level of {recovery.before}"
    return f"{where}: back to {level} {soon}; {drained}{lost}."


def _drift_view(drifts: list[Drift], phase: str, number: int) -> dict[str, Any]:
    return {
        "phase": phase,
        "chart": drift_chart(drifts, phase, number),
        "rows": [
            (
                str(drift.metric),
                _level(drift, drift.line[0]),
                _level(drift, drift.line[1]),
                f"{drift.change.value * 100:+.1f} {_unit(drift)}",
                interval_text(drift.change, Dimension.RATIO),
                f"{drift.tau:+.2f}",
                f"{drift.p_value:.3f}",
            )
            for drift in drifts
        ],
    }


def _unit(drift: Drift) -> str:
    return "points" if drift.metric.kind.is_ratio else "%"


def _level(drift: Drift, value: float) -> str:
    match drift.metric.name:
        case "memory":
            return f"{value / 2**20:.1f} MiB"
        case "descriptors" | "threads":
            return f"{value:.0f}"
        case _:
            return format_quantity(value, drift.metric.dimension)


def _load(curve: LoadCurve, step: Step) -> str:
    return f"{step.load:,.0f} users" if curve.is_closed else _rps(step.load)


def _rps(value: float) -> str:
    return format_quantity(value, Dimension.RATE)


def _duration(estimate: Estimate | None) -> str:
    return format_duration(estimate.value) if estimate else "–"
