"""Writes a comparison to compare.json, and describes that file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import TypeAdapter

from loadproof.analysis.compare.comparison import FALSE_ALARMS
from loadproof.analysis.outputs.jsonmodel import Finite, JsonModel, by, from_
from loadproof.analysis.outputs.verdict.runverdict import UNITS, EstimateJson, FindingJson, ThresholdJson

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadproof.analysis.compare.comparison import Comparison
    from loadproof.analysis.compare.conclusion import Conclusion
    from loadproof.analysis.compare.shift import Shift

FORMAT: Final = 1


class ComparedRunJson(JsonModel):
    """`ended` is how the run ended; a run that ended because the target died has no values."""

    run: str = from_("path", "name")
    run_id: str = from_("manifest", "run_id")
    start_unix_s: float = from_("manifest", "start_unix_s")
    seed: int = from_("manifest", "seed")
    ended: str = from_("manifest", "ending")
    block: int | None


class ChangeJson(JsonModel):
    """From baseline to candidate with its 95 % interval; all but `value` are null with a single run on a side.

    `scale` is `relative` (candidate / baseline - 1) or `difference` (of a share of requests).
    """

    scale: Annotated[str, by(lambda scale: scale.name.lower())]
    value: float = from_("ratio")
    low: Finite
    high: Finite
    p: Finite
    standard_error: Finite
    degrees: Finite


class ComparedRowJson(JsonModel):
    """`word` is null with too few runs. `named`: a threshold reads it, so it decides the word of the whole.

    `adjusted_p` allows for all rows that were tested. `detectable` is the smallest change that would have been found in
    four of five comparisons; `runs_to_decide` are runs on each side, null if it is decided or would take too many.
    """

    endpoint: str = from_("row", "endpoint")
    phase: str = from_("row", "phase")
    metric: str = from_("row", "metric")
    unit: Annotated[str, by(UNITS.__getitem__)] = from_("metric", "dimension")
    named: bool = from_("is_named")
    word: str | None
    margin: float
    baseline: EstimateJson
    candidate: EstimateJson
    change: ChangeJson | None
    adjusted_p: Finite
    detectable: Finite
    runs_to_decide: int | None
    between_runs_share: Finite


class ShiftJson(JsonModel):
    """The relative change of response times by quantile (0-1), each with its 95 % interval."""

    endpoint: str
    phase: str
    quantiles: Annotated[list[float], by(lambda values: values.tolist())]
    ratio: Annotated[list[float], by(lambda values: values.tolist())]
    low: Annotated[list[float], by(lambda values: values.tolist())]
    high: Annotated[list[float], by(lambda values: values.tolist())]


class ComparisonJson(JsonModel):
    """`word` is regressed, improved, equivalent or inconclusive; `verdict` is its meaning for a gate.

    `tested` rows share `false_alarms`, the highest probability that a comparison of equal releases calls any of them
    changed.
    """

    format: int
    word: str = from_("conclusion", "word")
    verdict: str = from_("conclusion", "verdict")
    reason: str = from_("conclusion", "reason")
    next_step: str = from_("conclusion", "next_step")
    scenario: str = from_("comparison", "scenario", "name")
    margin: float = from_("comparison", "margin")
    false_alarms: float
    tested: int = from_("comparison", "tested")
    interleaved: bool = from_("comparison", "is_interleaved")
    baseline: list[ComparedRunJson] = from_("comparison", "baseline")
    candidate: list[ComparedRunJson] = from_("comparison", "candidate")
    rows: list[ComparedRowJson] = from_("comparison", "rows")
    thresholds: list[ThresholdJson] = from_("comparison", "judgements")
    findings: list[FindingJson] = from_("comparison", "findings")
    shifts: list[ShiftJson]


@dataclass(frozen=True)
class OfComparison:
    """The source of ComparisonJson."""

    comparison: Comparison
    conclusion: Conclusion
    shifts: Sequence[Shift]
    format: int = FORMAT
    false_alarms: float = FALSE_ALARMS


def comparison_schema() -> dict[str, Any]:
    """The JSON schema of compare.json."""
    schema = TypeAdapter(ComparisonJson).json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "compare.json"}
