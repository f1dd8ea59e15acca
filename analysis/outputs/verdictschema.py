"""The models of verdict.json: each field, its type and where in a verdict it comes from, once; and its JSON schema."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Final, Self, TypeVar

from pydantic import (
    AliasPath,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    WrapValidator,
    model_validator,
)

from analysis.estimates.estimate import Estimate
from loadproof.units import Dimension

if TYPE_CHECKING:
    from analysis.foreign.locustentries import Entry
    from analysis.judge.judgement import Judgement

FORMAT: Final = 1
_NOTHING: Final = Estimate(math.nan, math.nan, math.nan, 0, confidence=None)
_UNITS: Final = {
    Dimension.DURATION: "s",
    Dimension.RATE: "rps",
    Dimension.RATIO: "ratio",
    Dimension.COUNT: "count",
    Dimension.MULTIPLE: "x",
}
_S = TypeVar("_S")


class _Json(BaseModel):
    """Read from the attributes of what it is a picture of; of the same name, unless `_from` says which."""

    model_config = ConfigDict(from_attributes=True, frozen=True)

    @classmethod
    def of(cls, source: object) -> Self:
        return cls.model_validate(source)

    def text(self) -> str:
        return json.dumps(self.model_dump(), indent=2, allow_nan=False) + "\n"


def _from(*attributes: str) -> Any:
    """A field that comes from this attribute of the source, or from an attribute of that one, and so on."""
    return Field(validation_alias=AliasPath(*attributes))


def _by(read: Callable[[_S], object]) -> BeforeValidator:
    """A field that is worked out of its attribute; None stays None."""
    return BeforeValidator(lambda value: None if value is None else read(value))


_Finite = Annotated[float | None, WrapValidator(lambda value, _: value if math.isfinite(value) else None)]
"""JSON has no infinity: null. A count stays a whole number."""
_Phase = Annotated[str | None, _by(lambda step: step.phase)]
_Quantile = Annotated[str, _by(lambda quantile: f"p{quantile * 100:g}")]


class EstimateJson(_Json):
    """With its 95 % interval; null where there is none, or where it is open."""

    value: _Finite
    low: _Finite
    high: _Finite
    n: int

    @model_validator(mode="before")
    @classmethod
    def _of_nothing(cls, estimate: Estimate | None) -> Estimate:
        return estimate or _NOTHING


class ThresholdJson(_Json):
    """`in_this_run`: kept, unsure, just missed (no FAIL by itself) or broken; `next_time`: kept, unsure or broken.

    Null where a metric has no such answer. `decided_by` is the one that made FAIL or INCONCLUSIVE; PASS needs both.
    """

    expect: str = _from("threshold", "expect")
    scope: str = _from("threshold", "scope")
    word: str
    reason: str
    in_this_run: str | None
    next_time: str | None
    decided_by: str | None
    unit: Annotated[str, _by(_UNITS.__getitem__)] = _from("threshold", "expectation", "metric", "dimension")
    limit: float = _from("threshold", "expectation", "limit")
    of_baseline: bool = _from("threshold", "expectation", "of_baseline")
    window_s: float | None = _from("threshold", "expectation", "window_s")
    value: _Finite = _from("estimate", "value")
    low: _Finite = _from("estimate", "low")
    high: _Finite = _from("estimate", "high")
    n: int = _from("estimate", "n")

    @model_validator(mode="before")
    @classmethod
    def _of_nothing(cls, judgement: Judgement) -> Judgement:
        return replace(judgement, estimate=judgement.estimate or _NOTHING)


class FindingJson(_Json):
    """`word` is INVALID, FAIL, INCONCLUSIVE, or NOTE, which decides nothing."""

    word: str = _from("tag")
    what: str
    remedy: str


class BurstJson(_Json):
    number: int
    at_s: float
    sent: int
    spread_s: float
    peak_in_flight: int
    late: int


class ValueJson(_Json):
    """At a glance: no threshold read it, and so no interval was worked out."""

    value: _Finite
    n: int

    @model_validator(mode="before")
    @classmethod
    def _of_nothing(cls, estimate: Estimate | None) -> Estimate:
        return estimate or _NOTHING


class RowJson(_Json):
    """One phase and endpoint (null: all of them); times by quantile."""

    phase: str = _from("phase", "name")
    warm_up: bool = _from("phase", "warm_up")
    endpoint: str | None
    offered_rps: float
    throughput_rps: float
    goodput_rps: float
    goodput_ratio: ValueJson
    sent: int = _from("tally", "sent")
    dropped: int = _from("tally", "dropped")
    abandoned: int = _from("tally", "abandoned")
    repeated: int = _from("tally", "repeated")
    outcomes: dict[str, int] = _from("tally", "outcomes")
    response_s: dict[_Quantile, ValueJson] = _from("response")
    service_s: dict[_Quantile, ValueJson] = _from("service")
    connect_s: dict[_Quantile, ValueJson] = _from("parts", "connect")
    first_byte_s: dict[_Quantile, ValueJson] = _from("parts", "first_byte")
    transfer_s: dict[_Quantile, ValueJson] = _from("parts", "transfer")


class SheddingJson(_Json):
    """Refusals, and what became of their Retry-After: kept, broken, missing, or unreadable."""

    refused: int
    p95_s: float
    kept: int
    broken: int
    missing: int
    unreadable: int
    graceful: bool = _from("is_graceful")


class StepJson(_Json):
    """A phase at one load; `past` is what most of what was no goodput ended as."""

    phase: str
    load: float
    offered_rps: float
    throughput_rps: float
    goodput_rps: float
    goodput_ratio: EstimateJson
    response_s: dict[_Quantile, EstimateJson] = _from("response")
    outcomes: dict[str, int] = _from("tally", "outcomes")
    dropped: int = _from("tally", "dropped")
    in_flight: float
    word: str
    broken: str
    past: str | None
    shedding: SheddingJson | None


class LoadCurveJson(_Json):
    """`held` and `broke` are the phases between which capacity lies."""

    load_unit: Annotated[str, _by(lambda is_closed: "users" if is_closed else "rps")] = _from("is_closed")
    rising: list[StepJson]
    falling: list[StepJson]
    held: _Phase
    broke: _Phase
    collapse: Annotated[str | None, _by(lambda collapse: collapse.step.phase)]


class RecoveryJson(_Json):
    phase: str
    before: str
    trigger: str
    took_s: float | None
    looked_s: int
    drained_s: float | None
    lost: int


class DriftJson(_Json):
    """`change` is relative to the start, of ratios it is the difference."""

    metric: Annotated[str, _by(str)]
    phase: str
    change: EstimateJson
    tau: float
    p_value: float


class DegradationJson(_Json):
    load_curve: LoadCurveJson | None = _from("curve")
    recoveries: list[RecoveryJson]
    drifts: list[DriftJson]
    settled_s: Annotated[int | None, _by(lambda settling: settling.settled_s)] = _from("settling")
    shedding: SheddingJson | None


class VerdictJson(_Json):
    format: int
    verdict: str = _from("verdict", "word")
    reason: str = _from("verdict", "reason")
    next_step: str = _from("verdict", "next_step")
    run_id: str = _from("run", "manifest", "run_id")
    scenario: str = _from("run", "manifest", "scenario", "name")
    ending: str = _from("run", "manifest", "ending")
    baseline: Annotated[str | None, _by(lambda run: run.manifest.run_id)]
    thresholds: list[ThresholdJson] = _from("verdict", "judgements")
    findings: list[FindingJson] = _from("verdict", "findings")
    bursts: list[BurstJson]
    degradation: DegradationJson | None = _from("verdict", "degradation")
    summary: list[RowJson]


class CsvThresholdJson(ThresholdJson):
    """Without a known sampling error the interval is Locust's rounding only."""

    sampling_error_known: Annotated[bool, BeforeValidator(lambda confidence: confidence is not None)] = _from(
        "estimate", "confidence"
    )


class SourceJson(_Json):
    files: list[str]
    full_history: bool
    history_percentiles: Annotated[str, _by(lambda is_so: "since the start" if is_so else "last 10 s")] = _from(
        "cumulative"
    )
    start_unix_s: float | None
    duration_s: float
    damage: list[str]


class TurnJson(_Json):
    kind: str
    at_s: float
    users: float
    what: str


class RaisedJson(_Json):
    """An exception in the locustfile itself."""

    count: int
    message: str


class EntryJson(_Json):
    """An endpoint, and beside these a `p95_s` and its like for each percentile that Locust wrote."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, EstimateJson]

    method: str
    name: str
    requests: int
    failures: int
    throughput_rps: Annotated[float | None, _by(lambda throughput: throughput.value)] = _from("throughput")
    mean_s: EstimateJson = _from("mean")
    max_s: EstimateJson = _from("maximum")

    @classmethod
    def with_percentiles(cls, entry: Entry) -> EntryJson:
        times = {f"p{quantile * 100:.10g}_s": EstimateJson.of(value) for quantile, value in entry.quantiles.items()}
        return cls.of(entry).model_copy(update=times)


class CsvVerdictJson(_Json):
    """Of anyone's Locust CSVs; `verdict` is null without thresholds."""

    format: int
    verdict: str | None = _from("verdict", "word")
    reason: str = _from("verdict", "reason")
    next_step: str | None = _from("verdict", "next_step")
    source: SourceJson = _from("run")
    cannot_show: list[str] = _from("caveats")
    thresholds: list[CsvThresholdJson] = _from("verdict", "judgements")
    turns: list[TurnJson] = _from("turns", "turns")
    turns_extent: str = _from("turns", "extent")
    turns_looked_for: list[str] = _from("turns", "looked_for")
    turns_notes: list[str] = _from("turns", "notes")
    exceptions: list[RaisedJson]
    all: Annotated[EntryJson | None, _by(EntryJson.with_percentiles)] = _from("run", "total")
    endpoints: list[Annotated[EntryJson, _by(EntryJson.with_percentiles)]]
    endpoints_left_out: int


class LogVerdictJson(_Json):
    """Of a request log; `verdict` is null without thresholds."""

    format: int
    verdict: str | None = _from("verdict", "word")
    reason: str = _from("verdict", "reason")
    next_step: str | None = _from("verdict", "next_step")
    requests: int = _from("log", "requests")
    unreadable: int = _from("log", "unreadable")
    notes: list[str] = _from("log", "notes")
    thresholds: list[ThresholdJson] = _from("verdict", "judgements")
    summary: list[RowJson]


def verdict_schema() -> dict[str, Any]:
    """The JSON schema of verdict.json: of a run, of Locust's CSVs, or of a request log."""
    # As it is written: where a field comes from is nobody's business.
    schema = TypeAdapter(VerdictJson | CsvVerdictJson | LogVerdictJson).json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "verdict.json", **schema}
