"""A verdict to verdict.json."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Final

from analysis.estimates.metrics import SummaryRow, summary
from analysis.frames.bursts import bursts
from analysis.outputs.verdictschema import (
    BurstJson,
    DegradationJson,
    DriftJson,
    EstimateJson,
    FindingJson,
    LoadCurveJson,
    RecoveryJson,
    RowJson,
    SheddingJson,
    StepJson,
    ThresholdJson,
    ValueJson,
    VerdictJson,
)
from loadproof.units import Dimension

if TYPE_CHECKING:
    from analysis.estimates.drift import Drift
    from analysis.estimates.estimate import Estimate
    from analysis.estimates.recovery import Recovery
    from analysis.estimates.shedding import Shedding
    from analysis.frames.run import Run
    from analysis.judge.degradation import Degradation
    from analysis.judge.judgement import Judgement
    from analysis.judge.loadcurve import LoadCurve, Step
    from analysis.judge.verdict import Verdict

FORMAT: Final = 1
_UNITS: Final = {
    Dimension.DURATION: "s",
    Dimension.RATE: "rps",
    Dimension.RATIO: "ratio",
    Dimension.COUNT: "count",
    Dimension.MULTIPLE: "x",
}


def verdict_json(run: Run, verdict: Verdict, baseline: Run | None = None) -> str:
    content = VerdictJson(
        format=FORMAT,
        verdict=verdict.word,
        reason=verdict.reason,
        next_step=verdict.next_step,
        run_id=run.manifest.run_id,
        scenario=run.manifest.scenario.name,
        ending=run.manifest.ending,
        baseline=baseline.manifest.run_id if baseline else None,
        thresholds=[threshold_json(judgement) for judgement in verdict.judgements],
        findings=[
            FindingJson(word=finding.tag, what=finding.what, remedy=finding.remedy) for finding in verdict.findings
        ],
        bursts=[
            BurstJson(
                number=burst.number,
                at_s=burst.at_s,
                sent=burst.sent,
                spread_s=burst.spread_s,
                peak_in_flight=burst.peak_in_flight,
                late=burst.late,
            )
            for burst in bursts(run)
        ],
        degradation=_degradation_json(verdict.degradation) if verdict.degradation else None,
        summary=[row_json(row) for row in summary(run)],
    )
    return json.dumps(content, indent=2, allow_nan=False) + "\n"


def threshold_json(judgement: Judgement) -> ThresholdJson:
    threshold = judgement.threshold
    expectation = threshold.expectation
    return ThresholdJson(
        expect=threshold.expect,
        scope=threshold.scope,
        word=judgement.word,
        reason=judgement.reason,
        in_this_run=judgement.in_this_run,
        next_time=judgement.next_time,
        decided_by=judgement.decided_by,
        unit=_UNITS[expectation.metric.dimension],
        limit=expectation.limit,
        of_baseline=expectation.of_baseline,
        window_s=expectation.window_s,
        **estimate_json(judgement.estimate),
    )


def estimate_json(estimate: Estimate | None) -> EstimateJson:
    """JSON has no infinity: null."""
    if estimate is None:
        return EstimateJson(value=None, low=None, high=None, n=0)

    def finite(value: float) -> float | None:
        return value if math.isfinite(value) else None

    return EstimateJson(
        value=finite(estimate.value), low=finite(estimate.low), high=finite(estimate.high), n=estimate.n
    )


def _value_json(estimate: Estimate | None) -> ValueJson:
    return ValueJson(value=estimate.value if estimate else None, n=estimate.n if estimate else 0)


def row_json(row: SummaryRow) -> RowJson:
    def times(quantiles: dict[float, Estimate | None]) -> dict[str, ValueJson]:
        return {_name(quantile): _value_json(value) for quantile, value in quantiles.items()}

    return RowJson(
        phase=row.phase.name,
        warm_up=row.phase.warm_up,
        endpoint=row.endpoint,
        offered_rps=row.offered_rps,
        throughput_rps=row.throughput_rps,
        goodput_rps=row.goodput_rps,
        goodput_ratio=_value_json(row.goodput_ratio),
        sent=row.tally.sent,
        dropped=row.tally.dropped,
        abandoned=row.tally.abandoned,
        repeated=row.tally.repeated,
        outcomes={str(outcome): count for outcome, count in row.tally.outcomes.items()},
        response_s=times(row.response),
        service_s=times(row.service),
        connect_s=times(row.parts["connect"]),
        first_byte_s=times(row.parts["first_byte"]),
        transfer_s=times(row.parts["transfer"]),
    )


def _name(quantile: float) -> str:
    return f"p{quantile * 100:g}"


def _degradation_json(found: Degradation) -> DegradationJson:
    return DegradationJson(
        load_curve=_curve_json(found.curve) if found.curve else None,
        recoveries=[_recovery_json(recovery) for recovery in found.recoveries],
        drifts=[_drift_json(drift) for drift in found.drifts],
        settled_s=found.settling.settled_s if found.settling else None,
        shedding=_shedding_json(found.shedding) if found.shedding else None,
    )


def _curve_json(curve: LoadCurve) -> LoadCurveJson:
    def name(step: Step | None) -> str | None:
        return step.phase if step else None

    return LoadCurveJson(
        load_unit="users" if curve.is_closed else "rps",
        rising=[_step_json(step) for step in curve.rising],
        falling=[_step_json(step) for step in curve.falling],
        held=name(curve.held),
        broke=name(curve.broke),
        collapse=name(curve.collapse.step if curve.collapse else None),
    )


def _step_json(step: Step) -> StepJson:
    return StepJson(
        phase=step.phase,
        load=step.load,
        offered_rps=step.offered_rps,
        throughput_rps=step.throughput_rps,
        goodput_rps=step.goodput_rps,
        goodput_ratio=estimate_json(step.goodput_ratio),
        response_s={_name(quantile): estimate_json(value) for quantile, value in step.response.items()},
        outcomes={str(outcome): count for outcome, count in step.tally.outcomes.items()},
        dropped=step.tally.dropped,
        in_flight=step.in_flight,
        word=step.word,
        broken=step.broken,
        past=step.past,
        shedding=_shedding_json(step.shedding) if step.shedding else None,
    )


def _shedding_json(shedding: Shedding) -> SheddingJson:
    return SheddingJson(
        refused=shedding.refused,
        p95_s=shedding.p95_s,
        kept=shedding.kept,
        broken=shedding.broken,
        missing=shedding.missing,
        unreadable=shedding.unreadable,
        graceful=shedding.is_graceful,
    )


def _recovery_json(recovery: Recovery) -> RecoveryJson:
    return RecoveryJson(
        phase=recovery.phase,
        before=recovery.before,
        trigger=recovery.trigger,
        took_s=recovery.took_s,
        looked_s=recovery.looked_s,
        drained_s=recovery.drained_s,
        lost=recovery.lost,
    )


def _drift_json(drift: Drift) -> DriftJson:
    return DriftJson(
        metric=str(drift.metric),
        phase=drift.phase,
        change=estimate_json(drift.change),
        tau=drift.tau,
        p_value=drift.p_value,
    )
