"""The models of a run's verdict.json."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import model_validator

from loadproof.analysis.estimates.estimate import Estimate
from loadproof.analysis.outputs.jsonmodel import Finite, JsonModel, by, from_
from loadproof.units import Dimension

if TYPE_CHECKING:
    from loadproof.analysis.judge.judgement import Judgement

_NOTHING: Final = Estimate(math.nan, math.nan, math.nan, 0, confidence=None)
UNITS: Final = {
    Dimension.DURATION: "s",
    Dimension.RATE: "rps",
    Dimension.RATIO: "ratio",
    Dimension.COUNT: "count",
    Dimension.MULTIPLE: "x",
}
_Phase = Annotated[str | None, by(lambda step: step.phase)]
_Quantile = Annotated[str, by(lambda quantile: f"p{quantile * 100:g}")]


class _OfEstimate(JsonModel):
    """Its values are null if there is no estimate."""

    @model_validator(mode="before")
    @classmethod
    def _of_nothing(cls, estimate: Estimate | None) -> Estimate:
        return estimate or _NOTHING


class EstimateJson(_OfEstimate):
    """With its interval; null where there is none, or where it is open.

    `confidence` (0-1) is that of the interval: 0.95, or more for a window, so that a threshold's windows together have
    0.95; null if it is unknown.
    """

    value: Finite
    low: Finite
    high: Finite
    n: int
    confidence: float | None


class ThresholdJson(JsonModel):
    """`in_this_run`: met, unsure, just missed (no FAIL by itself) or violated; `next_time`: met, unsure or violated.

    Null where a metric has no such answer. `decided_by` is the one that made FAIL or INCONCLUSIVE; PASS needs both.
    """

    expect: str = from_("threshold", "expect")
    scope: str = from_("threshold", "scope")
    word: str
    reason: str
    in_this_run: str | None
    next_time: str | None
    decided_by: str | None
    unit: Annotated[str, by(UNITS.__getitem__)] = from_("threshold", "expectation", "metric", "dimension")
    limit: float = from_("threshold", "expectation", "limit")
    of_baseline: bool = from_("threshold", "expectation", "of_baseline")
    window_s: float | None = from_("threshold", "expectation", "window_s")
    value: Finite = from_("estimate", "value")
    low: Finite = from_("estimate", "low")
    high: Finite = from_("estimate", "high")
    n: int = from_("estimate", "n")

    @model_validator(mode="before")
    @classmethod
    def _of_nothing(cls, judgement: Judgement) -> Judgement:
        return replace(judgement, estimate=judgement.estimate or _NOTHING)


class FindingJson(JsonModel):
    """`word` is INVALID, FAIL, INCONCLUSIVE, or NOTE, which decides nothing."""

    word: str = from_("tag")
    what: str
    remedy: str


class BurstJson(JsonModel):
    number: int
    at_s: float
    sent: int
    spread_s: float
    peak_in_flight: int
    late: int


class ValueJson(_OfEstimate):
    """A value without an interval, for an overview."""

    value: Finite
    n: int


class RowJson(JsonModel):
    """One phase and endpoint (null: all of them), or group of requests; times by quantile."""

    phase: str = from_("phase", "name")
    warm_up: bool = from_("phase", "warm_up")
    endpoint: str | None
    offered_rps: float
    throughput_rps: float
    goodput_rps: float
    goodput_ratio: ValueJson
    sent: int = from_("tally", "sent")
    dropped: int = from_("tally", "dropped")
    abandoned: int = from_("tally", "abandoned")
    repeated: int = from_("tally", "repeated")
    retried: int = from_("tally", "retried")
    outcomes: dict[str, int] = from_("tally", "outcomes")
    response_s: dict[_Quantile, ValueJson] = from_("response")
    service_s: dict[_Quantile, ValueJson] = from_("service")
    connect_s: dict[_Quantile, ValueJson] = from_("parts", "connect")
    first_byte_s: dict[_Quantile, ValueJson] = from_("parts", "first_byte")
    transfer_s: dict[_Quantile, ValueJson] = from_("parts", "transfer")


class SheddingJson(JsonModel):
    """Refusals, and what became of their Retry-After: kept, broken, missing, or unreadable."""

    refused: int
    p95_s: float
    kept: int
    broken: int
    missing: int
    unreadable: int
    graceful: bool = from_("is_graceful")


class StepJson(JsonModel):
    """A phase at one load; `past` is how most of what was not goodput ended."""

    phase: str
    load: float
    offered_rps: float
    throughput_rps: float
    goodput_rps: float
    goodput_ratio: EstimateJson
    response_s: dict[_Quantile, EstimateJson] = from_("response")
    outcomes: dict[str, int] = from_("tally", "outcomes")
    dropped: int = from_("tally", "dropped")
    in_flight: float
    word: str
    broken: str
    past: str | None
    shedding: SheddingJson | None


class LoadCurveJson(JsonModel):
    """`held` and `broke` are the phases between which capacity lies."""

    load_unit: Annotated[str, by(lambda is_closed: "users" if is_closed else "rps")] = from_("is_closed")
    rising: list[StepJson]
    falling: list[StepJson]
    held: _Phase
    broke: _Phase
    collapse: Annotated[str | None, by(lambda collapse: collapse.step.phase)]


class AftermathJson(JsonModel):
    """The last seconds looked at, if the target did not recover."""

    goodput_before_rps: float
    goodput_rps: float
    retried_ratio: float


class RecoveryJson(JsonModel):
    """`before` is `phase` itself if the trigger was a fault within it."""

    phase: str
    before: str
    trigger: str
    took_s: float | None
    looked_s: int
    drained_s: float | None
    lost: int
    aftermath: AftermathJson | None


class DriftJson(JsonModel):
    """`change` is relative to the start; for ratios it is the difference."""

    metric: Annotated[str, by(str)]
    phase: str
    change: EstimateJson
    tau: float
    p_value: float


class DegradationJson(JsonModel):
    load_curve: LoadCurveJson | None = from_("curve")
    recoveries: list[RecoveryJson]
    drifts: list[DriftJson]
    settled_s: Annotated[int | None, by(lambda settling: settling.settled_s)] = from_("settling")
    shedding: SheddingJson | None


class EvidenceJson(JsonModel):
    """One promise of the target: `n` samples tested it, and `needed` of them decide."""

    promise: str
    word: str
    n: int
    needed: int
    reason: str


class AuditJson(JsonModel):
    """A threshold that names an audit; audit.json has the offending rows of the journal."""

    audit: str
    word: str
    reason: str
    evidence: list[EvidenceJson]
    offences_total: int


class OffenceJson(JsonModel):
    promise: str
    what: str
    rows: list[dict[str, Any]]


class WholeAuditJson(AuditJson):
    """`offences` are the first ones, with the first of their rows."""

    offences: list[OffenceJson]


class AuditsJson(JsonModel):
    format: int
    run_id: str = from_("run", "manifest", "run_id")
    audits: list[WholeAuditJson] = from_("verdict", "audits")


class VerdictJson(JsonModel):
    format: int
    verdict: str = from_("verdict", "word")
    reason: str = from_("verdict", "reason")
    next_step: str = from_("verdict", "next_step")
    run_id: str = from_("run", "manifest", "run_id")
    scenario: str = from_("run", "manifest", "scenario", "name")
    ending: str = from_("run", "manifest", "ending")
    baseline: Annotated[str | None, by(lambda run: run.manifest.run_id)]
    thresholds: list[ThresholdJson] = from_("verdict", "judgements")
    findings: list[FindingJson] = from_("verdict", "findings")
    bursts: list[BurstJson]
    degradation: DegradationJson | None = from_("verdict", "degradation")
    summary: list[RowJson]
    groups: list[RowJson]
    audits: list[AuditJson] = from_("verdict", "audits")
