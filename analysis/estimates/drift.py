"""Estimates how much a metric changed over a long phase: the slope through batches, with its interval.

Seconds are correlated, but batches of them hardly are, so the trend is fitted to a few batch values instead of many
seconds. The interval inverts Kendall's tau into slopes, so it is on one side of zero if tau is significant.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from loadproof.analysis.estimates.estimate import Estimate, exact
from loadproof.analysis.estimates.metrics import counted_estimate
from loadproof.analysis.estimates.scope import rows_of
from loadproof.plan.evidence import CONFIDENCE, DRIFT_BATCHES
from loadproof.scenario.thresholds.metrics import RESOURCES

if TYPE_CHECKING:
    from collections.abc import Callable

    from loadproof.analysis.estimates.scope import Scope
    from loadproof.analysis.frames.run import Run
    from loadproof.scenario.thresholds.expectation import Metric

MOST_BATCHES: Final = 12
_BATCH_S: Final = 50
"""In a long phase: much longer than the correlation between seconds."""


@dataclass(frozen=True)
class Drift:
    """A metric over one phase. `change` is relative to the line's start; for ratios it is the difference (-1 to 1)."""

    metric: Metric
    phase: str
    at_s: tuple[float, ...]
    """The middles of the batches."""
    values: tuple[float, ...]
    line: tuple[float, float]
    """The Theil–Sen line at the phase's start and end."""
    change: Estimate
    tau: float
    p_value: float
    """The probability that noise alone produces such a tau."""


def drift_in(run: Run, metric: Metric, scope: Scope) -> Drift | None:
    """How a metric changed over the scope's first phase; None if too little of it was measured.

    Under autocorrelation Kendall's tau on batches keeps its false-alarm rate, unlike the Mann-Kendall test on seconds
    (tests/statistics/test_drift.py). Source: Sen 1968, doi:10.1080/01621459.1968.10480934.
    """
    span = next(span for span in run.phases if span.name == scope.phases[0])
    start_s, end_s = span.start_s + span.ramp_s, min(span.end_s, float(int(run.measured_s)))
    batches = int(np.clip((end_s - start_s) // _BATCH_S, DRIFT_BATCHES, MOST_BATCHES))
    edges = np.linspace(start_s, end_s, batches + 1)
    read = _resource_reader(run, metric) if metric.name in RESOURCES else _request_reader(run, metric, scope)
    batch_values = [read(low_s, high_s) for low_s, high_s in itertools.pairwise(edges)] if end_s > start_s else []
    known = [estimate for estimate in batch_values if estimate is not None]
    if len(known) < max(len(batch_values), DRIFT_BATCHES):
        return None
    from scipy import stats

    middles = (edges[:-1] + edges[1:]) / 2
    values = np.array([estimate.value for estimate in known])
    slope, intercept, low, high = map(float, stats.theilslopes(values, middles, CONFIDENCE))
    tau = stats.kendalltau(middles, values)
    first, last = intercept + slope * start_s, intercept + slope * end_s
    scale = (end_s - start_s) / _base(metric, first, values)
    return Drift(
        metric=metric,
        phase=span.name,
        at_s=tuple(middles.tolist()),
        values=tuple(values.tolist()),
        line=(first, last),
        change=Estimate(slope * scale, low * scale, high * scale, n=sum(each.n for each in known)),
        # Constant values have no tau.
        tau=0.0 if np.isnan(tau.statistic) else float(tau.statistic),
        p_value=1.0 if np.isnan(tau.pvalue) else float(tau.pvalue),
    )


def drift_estimate(metric: Metric, run: Run, scope: Scope) -> Estimate | None:
    """The change of the metric inside `drift(...)`; None if too little was measured."""
    drift = drift_in(run, metric.of, scope) if metric.of else None
    return drift.change if drift else None


def _base(metric: Metric, first: float, values: np.ndarray) -> float:
    """The value that the change is expressed relative to."""
    if metric.kind.is_ratio:
        return 1.0
    # A steep line may start at or below zero.
    return next((base for base in (first, float(np.median(values))) if base > 0), 1.0)


def _request_reader(run: Run, metric: Metric, scope: Scope) -> Callable[[float, float], Estimate | None]:
    rows = rows_of(run, scope)

    def read(low_s: float, high_s: float) -> Estimate | None:
        return counted_estimate(metric, run.with_intervals(rows[rows["second"].between(low_s, high_s, "left")]), scope)

    return read


def _resource_reader(run: Run, metric: Metric) -> Callable[[float, float], Estimate | None]:
    samples = run.target[run.target["metric"] == RESOURCES[metric.name]]

    def read(low_s: float, high_s: float) -> Estimate | None:
        inside = samples[samples["time_s"].between(low_s, high_s, "left")]["value"]
        mean = float(inside.mean()) if len(inside) else 0.0
        return exact(mean, len(inside)) if len(inside) else None

    return read
