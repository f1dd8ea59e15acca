"""The models of verdict.json for other tools' data: Locust's CSVs, and request logs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import BeforeValidator, ConfigDict

from loadproof.analysis.outputs.jsonmodel import JsonModel, by, from_
from loadproof.analysis.outputs.verdict.runverdict import EstimateJson, RowJson, ThresholdJson

if TYPE_CHECKING:
    from loadproof.analysis.foreign.locust.entries import Entry


class CsvThresholdJson(ThresholdJson):
    """If `sampling_error_known` is false, the interval only covers Locust's rounding."""

    sampling_error_known: Annotated[bool, BeforeValidator(lambda confidence: confidence is not None)] = from_(
        "estimate", "confidence"
    )


class SourceJson(JsonModel):
    files: list[str]
    full_history: bool
    history_percentiles: Annotated[str, by(lambda is_so: "since the start" if is_so else "last 10 s")] = from_(
        "cumulative"
    )
    start_unix_s: float | None
    duration_s: float
    damage: list[str]


class TurnJson(JsonModel):
    kind: str
    at_s: float
    users: float
    what: str


class RaisedJson(JsonModel):
    """An exception in the locustfile itself."""

    count: int
    message: str


class EntryJson(JsonModel):
    """An endpoint, with an additional `p95_s` and so on for each percentile that Locust wrote."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, EstimateJson]

    method: str
    name: str
    requests: int
    failures: int
    throughput_rps: Annotated[float | None, by(lambda throughput: throughput.value)] = from_("throughput")
    mean_s: EstimateJson = from_("mean")
    max_s: EstimateJson = from_("maximum")

    @classmethod
    def with_percentiles(cls, entry: Entry) -> EntryJson:
        times = {f"p{quantile * 100:.10g}_s": EstimateJson.of(value) for quantile, value in entry.quantiles.items()}
        return cls.of(entry).model_copy(update=times)


class CsvVerdictJson(JsonModel):
    """For Locust's CSVs; `verdict` is null without thresholds."""

    format: int
    verdict: str | None = from_("verdict", "word")
    reason: str = from_("verdict", "reason")
    next_step: str | None = from_("verdict", "next_step")
    source: SourceJson = from_("run")
    cannot_show: list[str] = from_("caveats")
    thresholds: list[CsvThresholdJson] = from_("verdict", "judgements")
    turns: list[TurnJson] = from_("search", "turns")
    turns_extent: str = from_("search", "extent")
    turns_looked_for: list[str] = from_("search", "looked_for")
    turns_notes: list[str] = from_("search", "notes")
    exceptions: list[RaisedJson]
    all: Annotated[EntryJson | None, by(EntryJson.with_percentiles)] = from_("run", "total")
    endpoints: list[Annotated[EntryJson, by(EntryJson.with_percentiles)]]
    endpoints_left_out: int


class LogVerdictJson(JsonModel):
    """For a request log; `verdict` is null without thresholds."""

    format: int
    verdict: str | None = from_("verdict", "word")
    reason: str = from_("verdict", "reason")
    next_step: str | None = from_("verdict", "next_step")
    requests: int = from_("log", "requests")
    unreadable: int = from_("log", "unreadable")
    notes: list[str] = from_("log", "notes")
    thresholds: list[ThresholdJson] = from_("verdict", "judgements")
    summary: list[RowJson]
