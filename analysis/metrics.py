"""A run's frames to estimates of what thresholds and reports ask: quantiles, ratios, rates, bursts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from analysis.estimate import (
    Estimate,
    exact,
    mean_estimate,
    quantile_estimate,
    rate_estimate,
    ratio_estimate,
)
from loadproof.histogram import BUCKETS, UPPER_US, value_at_rank
from loadproof.outcome import ERRORS, Outcome
from loadproof.rundir import PARTS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from analysis.frames import Run
    from loadproof.expectation import Metric
    from loadproof.rundir import PhaseSpan

_RATIO_OUTCOMES: Final = {
    "error_ratio": ERRORS,
    "throttled_ratio": frozenset({Outcome.THROTTLED}),
    "rejected_ratio": frozenset({Outcome.REJECTED}),
}
QUANTILES: Final = (0.5, 0.95, 0.99)


@dataclass(frozen=True)
class Scope:
    """What an estimate reads: these phases and endpoints taken together."""

    phases: tuple[str, ...]
    endpoints: tuple[str, ...]
    outcome: Outcome = Outcome.OK
    series: str = "response"


@dataclass(frozen=True)
class Tally:
    """Counts of one scope. Every request sent has one outcome, or was abandoned by our own stop."""

    outcomes: dict[Outcome, int]
    good: int
    dropped: int
    abandoned: int

    @property
    def sent(self) -> int:
        return sum(self.outcomes.values())

    @property
    def offered(self) -> int:
        return self.sent + self.dropped


def rows_of(run: Run, scope: Scope) -> pd.DataFrame:
    """The intervals of a scope's phases and endpoints."""
    intervals = run.intervals
    return intervals[intervals["phase"].isin(scope.phases) & intervals["endpoint"].isin(scope.endpoints)]


def tally(rows: pd.DataFrame) -> Tally:
    sums = rows.groupby(["series", "outcome"], observed=True)["count"].sum()
    by_series = rows.groupby("series", observed=True)["count"].sum()
    return Tally(
        outcomes={outcome: int(sums.get(("response", str(outcome)), 0)) for outcome in Outcome},
        good=int(by_series.get("good", 0)),
        dropped=int(by_series.get("dropped", 0)),
        abandoned=int(by_series.get("abandoned", 0)),
    )


def histogram(rows: pd.DataFrame, series: str, outcome: str) -> NDArray[np.int64]:
    """Counts by bucket, shape (BUCKETS,)."""
    chosen = rows[(rows["series"] == series) & (rows["outcome"] == outcome)]
    return np.bincount(chosen["bucket"], weights=chosen["count"], minlength=BUCKETS).astype(np.int64)


def measure(metric: Metric, run: Run, scope: Scope) -> Estimate | None:  # noqa: PLR0911 - a metric, a line
    """The metric's estimate, or None where the scope has nothing to estimate it from."""
    rows = rows_of(run, scope)
    if metric.quantile is not None:
        return quantile_estimate(histogram(rows, scope.series, scope.outcome), metric.quantile)
    match metric.name:
        case "mean":
            return mean_estimate(histogram(rows, scope.series, scope.outcome))
        case "max":
            counts = histogram(rows, scope.series, scope.outcome)
            n = int(counts.sum())
            return exact(float(UPPER_US[np.flatnonzero(counts)[-1]]) * 1e-6, n) if n else None
        case "spread":
            spreads = [burst.spread_s for burst in bursts(run, scope.phases)]
            return exact(max(spreads), len(spreads)) if spreads else None
        case "goodput" | "throughput":
            counter = "good" if metric.name == "goodput" else "completed"
            return rate_estimate(per_second(run, rows, scope.phases, counter))
    counts_of = tally(rows)
    match metric.name:
        case "count":
            return exact(counts_of.sent, counts_of.sent)
        case "goodput_ratio":
            return ratio_estimate(counts_of.good, counts_of.offered)
        case _:
            hits = sum(counts_of.outcomes[outcome] for outcome in _RATIO_OUTCOMES[metric.name])
            return ratio_estimate(hits, counts_of.sent)


def per_second(run: Run, rows: pd.DataFrame, phases: Sequence[str], counter: str) -> NDArray[np.int64]:
    """A counter in each whole second of these phases that the run lived through."""
    seconds = [
        second
        for span in run.manifest.phases
        if span.name in phases
        for second in range(int(np.ceil(span.start_s)), int(min(span.end_s, run.measured_s)))
    ]
    sums = rows[rows["series"] == counter].groupby("second")["count"].sum()
    counted: NDArray[np.int64] = sums.reindex(seconds, fill_value=0).to_numpy(dtype=np.int64)
    return counted


@dataclass(frozen=True)
class Burst:
    """All users' sends at one instant."""

    number: int
    at_s: float
    sent: int
    spread_s: float
    """From the first send to the last."""
    peak_in_flight: int
    late: int
    """Users who were still waiting for an earlier answer at the instant."""


def bursts(run: Run, phases: Sequence[str] | None = None) -> list[Burst]:
    """The bursts that were seen in these phases, or in all; unreadable ones are left out."""
    spans = [span for span in run.manifest.phases if phases is None or span.name in phases]
    found = []
    seen = run.events[run.events["kind"] == "burst"]
    for at_s, detail in zip(seen["time_s"].tolist(), seen["detail"].tolist(), strict=True):
        if any(span.start_s <= at_s < span.end_s for span in spans):
            found += _burst(at_s, detail)
    return found


def _burst(at_s: float, detail: str) -> list[Burst]:
    try:
        seen: dict[str, Any] = json.loads(detail)
        return [
            Burst(
                number=int(seen["burst"]),
                at_s=at_s,
                sent=int(seen["sent"]),
                spread_s=float(seen["spread_s"]),
                peak_in_flight=int(seen["peak_in_flight"]),
                late=int(seen["late"]),
            )
        ]
    except (ValueError, KeyError, TypeError):
        return []


@dataclass(frozen=True)
class SummaryRow:
    """One phase and endpoint (None: all of them) at a glance."""

    phase: PhaseSpan
    endpoint: str | None
    tally: Tally
    offered_rps: float
    throughput_rps: float
    goodput_rps: float
    goodput_ratio: Estimate | None
    response: dict[float, Estimate | None]
    """By quantile, of `ok` answers."""
    service: dict[float, Estimate | None]
    parts: dict[str, dict[float, Estimate | None]]
    """By part of the time of `ok` answers (loadproof.rundir.PARTS)."""


def summary(run: Run) -> list[SummaryRow]:
    """Each phase with all endpoints together, then each of them."""
    endpoints = tuple(run.manifest.scenario.mix)
    table = []
    for span in run.manifest.phases:
        rows = run.intervals[run.intervals["phase"] == span.name]
        chosen = [(None, rows), *((name, rows[rows["endpoint"] == name]) for name in endpoints)]
        table += [_summary_row(run, span, endpoint, part) for endpoint, part in chosen]
    return table


def _summary_row(run: Run, span: PhaseSpan, endpoint: str | None, rows: pd.DataFrame) -> SummaryRow:
    lived_s = max(min(span.end_s, run.measured_s) - span.start_s, 0.0)
    counts = tally(rows)
    completed = int(rows.loc[rows["series"] == "completed", "count"].sum())

    def rate(count: int) -> float:
        return count / lived_s if lived_s else 0.0

    def quantiles(series: str) -> dict[float, Estimate | None]:
        counted = histogram(rows, series, Outcome.OK)
        return {quantile: quantile_estimate(counted, quantile) for quantile in QUANTILES}

    return SummaryRow(
        phase=span,
        endpoint=endpoint,
        tally=counts,
        offered_rps=rate(counts.offered),
        throughput_rps=rate(completed),
        goodput_rps=rate(counts.good),
        goodput_ratio=ratio_estimate(counts.good, counts.offered),
        response=quantiles("response"),
        service=quantiles("service"),
        parts={part: quantiles(part) for part in PARTS},
    )


def counts_over_time(run: Run) -> pd.DataFrame:
    """Offered, sent, good and completed requests in each second; index: second."""
    rows = run.intervals
    seconds = pd.RangeIndex(int(run.measured_s))

    def count(chosen: pd.Series) -> pd.Series:
        return rows[chosen].groupby("second")["count"].sum().reindex(seconds, fill_value=0)

    sent = count(rows["series"] == "response")
    return pd.DataFrame(
        {
            "offered": sent + count(rows["series"] == "dropped"),
            "sent": sent,
            "good": count(rows["series"] == "good"),
            "completed": count(rows["series"] == "completed"),
        }
    )


def outcomes_over_time(run: Run) -> pd.DataFrame:
    """Requests by outcome in the second of their intended start; index: second, columns: all outcomes."""
    rows = run.intervals[run.intervals["series"] == "response"]
    table = rows.pivot_table(index="second", columns="outcome", values="count", aggfunc="sum", observed=True)
    columns = [str(outcome) for outcome in Outcome]
    return table.reindex(index=pd.RangeIndex(int(run.measured_s)), columns=columns).fillna(0).astype(int)


def quantiles_over_time(run: Run, width_s: int = 1) -> pd.DataFrame:
    """Quantiles in s of the response time of `ok` answers in windows of `width_s`; index: second, columns: q."""
    rows = run.intervals
    rows = rows[(rows["series"] == "response") & (rows["outcome"] == str(Outcome.OK))]
    values = {}
    for window, part in rows.groupby(rows["second"] // width_s):
        counted = np.bincount(part["bucket"], weights=part["count"], minlength=BUCKETS).astype(np.int64)
        n = int(counted.sum())
        values[int(str(window)) * width_s] = [
            value_at_rank(counted, max(1, int(np.ceil(q * n)))) * 1e-6 for q in QUANTILES
        ]
    return pd.DataFrame.from_dict(values, orient="index", columns=list(QUANTILES), dtype=float)
