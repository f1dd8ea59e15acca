"""The types of verdict.json, and its JSON schema."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter
from typing_extensions import TypedDict


class EstimateJson(TypedDict):
    """With its 95 % interval; null where there is none, or where it is open."""

    value: float | None
    low: float | None
    high: float | None
    n: int


class ThresholdJson(EstimateJson):
    """`in_this_run`: kept, unsure, just missed (no FAIL by itself) or broken; `next_time`: kept, unsure or broken.

    Null where a metric has no such answer. `decided_by` is the one that made FAIL or INCONCLUSIVE; PASS needs both.
    """

    expect: str
    scope: str
    word: str
    reason: str
    in_this_run: str | None
    next_time: str | None
    decided_by: str | None
    unit: str
    limit: float
    of_baseline: bool
    window_s: float | None


class FindingJson(TypedDict):
    """`word` is INVALID, FAIL, INCONCLUSIVE, or NOTE, which decides nothing."""

    word: str
    what: str
    remedy: str


class BurstJson(TypedDict):
    number: int
    at_s: float
    sent: int
    spread_s: float
    peak_in_flight: int
    late: int


class ValueJson(TypedDict):
    """At a glance: no threshold read it, and so no interval was worked out."""

    value: float | None
    n: int


class RowJson(TypedDict):
    """One phase and endpoint (null: all of them); times by quantile."""

    phase: str
    warm_up: bool
    endpoint: str | None
    offered_rps: float
    throughput_rps: float
    goodput_rps: float
    goodput_ratio: ValueJson
    sent: int
    dropped: int
    abandoned: int
    repeated: int
    outcomes: dict[str, int]
    response_s: dict[str, ValueJson]
    service_s: dict[str, ValueJson]
    connect_s: dict[str, ValueJson]
    first_byte_s: dict[str, ValueJson]
    transfer_s: dict[str, ValueJson]


class SheddingJson(TypedDict):
    """Refusals, and what became of their Retry-After: kept, broken, missing, or unreadable."""

    refused: int
    p95_s: float
    kept: int
    broken: int
    missing: int
    unreadable: int
    graceful: bool


class StepJson(TypedDict):
    """A phase at one load; `past` is what most of what was no goodput ended as."""

    phase: str
    load: float
    offered_rps: float
    throughput_rps: float
    goodput_rps: float
    goodput_ratio: EstimateJson
    response_s: dict[str, EstimateJson]
    outcomes: dict[str, int]
    dropped: int
    in_flight: float
    word: str
    broken: str
    past: str | None
    shedding: SheddingJson | None


class LoadCurveJson(TypedDict):
    """`held` and `broke` are the phases between which capacity lies."""

    load_unit: str
    rising: list[StepJson]
    falling: list[StepJson]
    held: str | None
    broke: str | None
    collapse: str | None


class RecoveryJson(TypedDict):
    phase: str
    before: str
    trigger: str
    took_s: float | None
    looked_s: int
    drained_s: float | None
    lost: int


class DriftJson(TypedDict):
    """`change` is relative to the start, of ratios it is the difference."""

    metric: str
    phase: str
    change: EstimateJson
    tau: float
    p_value: float


class DegradationJson(TypedDict):
    load_curve: LoadCurveJson | None
    recoveries: list[RecoveryJson]
    drifts: list[DriftJson]
    settled_s: int | None
    shedding: SheddingJson | None


class VerdictJson(TypedDict):
    format: int
    verdict: str
    reason: str
    next_step: str
    run_id: str
    scenario: str
    ending: str
    baseline: str | None
    thresholds: list[ThresholdJson]
    findings: list[FindingJson]
    bursts: list[BurstJson]
    degradation: DegradationJson | None
    summary: list[RowJson]


class CsvThresholdJson(ThresholdJson):
    """Without a known sampling error the interval is Locust's rounding only."""

    sampling_error_known: bool


class SourceJson(TypedDict):
    files: list[str]
    full_history: bool
    history_percentiles: str
    start_unix_s: float | None
    duration_s: float
    damage: list[str]


class TurnJson(TypedDict):
    kind: str
    at_s: float
    users: float
    what: str


class RaisedJson(TypedDict):
    """An exception in the locustfile itself."""

    count: int
    message: str


class EntryJson(TypedDict):
    """An endpoint, and beside these a `p95_s` and its like for each percentile that Locust wrote."""

    method: str
    name: str
    requests: int
    failures: int
    throughput_rps: float | None
    mean_s: EstimateJson
    max_s: EstimateJson


class CsvVerdictJson(TypedDict):
    """Of anyone's Locust CSVs; `verdict` is null without thresholds."""

    format: int
    verdict: str | None
    reason: str
    next_step: str | None
    source: SourceJson
    cannot_show: list[str]
    thresholds: list[CsvThresholdJson]
    turns: list[TurnJson]
    turns_extent: str
    turns_looked_for: list[str]
    turns_notes: list[str]
    exceptions: list[RaisedJson]
    all: EntryJson | None
    endpoints: list[EntryJson]
    endpoints_left_out: int


class LogVerdictJson(TypedDict):
    """Of a request log; `verdict` is null without thresholds."""

    format: int
    verdict: str | None
    reason: str
    next_step: str | None
    requests: int
    unreadable: int
    notes: list[str]
    thresholds: list[ThresholdJson]
    summary: list[RowJson]


def verdict_schema() -> dict[str, Any]:
    """The JSON schema of verdict.json: of a run, of Locust's CSVs, or of a request log."""
    schema = TypeAdapter(VerdictJson | CsvVerdictJson | LogVerdictJson).json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "verdict.json", **schema}
