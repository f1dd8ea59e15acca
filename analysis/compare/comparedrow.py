"""Turns a row's values from all runs into both sides' means, the change, and the share of noise between runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import numpy as np

from loadproof.analysis.compare.statistics.welch import BUCKET_SD, Change, Scale, change, mean_of_runs
from loadproof.plan.evidence import SAMPLES_BEYOND_QUANTILE, Z
from loadproof.units import Dimension

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from loadproof.analysis.compare.replicates import Replicate, Row
    from loadproof.analysis.compare.statistics.welch import Blocks
    from loadproof.analysis.estimates.estimate import Estimate
    from loadproof.scenario.thresholds.expectation import Metric

ENOUGH_RUNS: Final = 3
"""On each side: with two, one odd run is already half."""
_SHORTEST_S: Final = 1e-6


class ChangeWord(StrEnum):
    """The word of a comparison for a row, or overall."""

    REGRESSED = "regressed"
    IMPROVED = "improved"
    EQUIVALENT = "equivalent"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True)
class ComparedRow:
    """One endpoint, phase and metric on both sides. `baseline`, `candidate` and `change` are None without requests."""

    row: Row
    metric: Metric
    is_named: bool
    """A threshold names it, so it decides the comparison's word."""
    margin: float
    """A change up to this fraction doesn't matter; for a share of requests, a difference up to a tenth of it."""
    baseline: Estimate | None
    candidate: Estimate | None
    change: Change | None
    should_be_high: bool
    """Higher is better: a threshold on it or, without one, its metric says so."""
    between_runs_share: float
    """Share of the variance, 0-1, that only more runs can reduce, not longer ones; NaN if unknown."""
    word: ChangeWord | None = None
    """None if there are too few runs for one, or the row is not in the family."""
    adjusted_p: float = math.nan
    """Adjusted by Benjamini and Hochberg's procedure for all rows that were tested."""
    detectable: float = math.nan
    """The smallest change that would have been detected in four of five comparisons."""
    runs_to_decide: int | None = None
    """Runs needed on each side; None if it is decided, or if it would take too many."""

    @property
    def is_tested(self) -> bool:
        """Whether there are enough runs on both sides."""
        return self.change is not None and min(self.change.baseline_n, self.change.candidate_n) >= ENOUGH_RUNS

    @property
    def is_worse(self) -> bool:
        """Whether the change is for the worse; False without a change."""
        if self.change is None:
            return False
        return self.change.ratio < 0 if self.should_be_high else self.change.ratio > 0


def scale_of(metric: Metric) -> Scale:
    return Scale.DIFFERENCE if metric.dimension is Dimension.RATIO else Scale.RELATIVE


def estimates_in(runs: Sequence[Replicate], row: Row) -> list[Estimate]:
    """The row's estimates, from the runs that have one."""
    return [run.estimates[row] for run in runs if row in run.estimates]


def values_of(estimates: Sequence[Estimate], metric: Metric) -> NDArray[np.float64]:
    """The values, shape (runs,); those compared by their logarithm are never zero."""
    values = np.array([estimate.value for estimate in estimates], dtype=np.float64)
    if scale_of(metric) is Scale.DIFFERENCE:
        return values
    # A rate of zero becomes half an answer in all seconds.
    least = _SHORTEST_S if metric.dimension is Dimension.DURATION else 0.5 / max(estimates[0].n, 1) if estimates else 0
    return np.maximum(values, least)


def compared(row: Row, metric: Metric, sides: tuple[Sequence[Replicate], ...], blocks: Blocks | None) -> ComparedRow:
    """The compared row without a word.

    `is_named`, `margin` and `should_be_high` have defaults: the caller knows them.
    """
    was, now = (estimates_in(runs, row) for runs in sides)
    scale = scale_of(metric)
    values = values_of(was, metric), values_of(now, metric)
    is_complete = (len(was), len(now)) == tuple(map(len, sides))
    return ComparedRow(
        row=row,
        metric=metric,
        is_named=False,
        margin=0.0,
        baseline=mean_of_runs(values[0], scale=scale) if was else None,
        candidate=mean_of_runs(values[1], scale=scale) if now else None,
        change=_possible(
            change(
                *values,
                blocks=blocks if is_complete else None,
                scale=scale,
                least_sd=least_sd([*was, *now], metric),
            )
        )
        if was and now
        else None,
        should_be_high=metric.kind.should_be_high,
        between_runs_share=_between_runs(was, now, metric),
    )


def _possible(change: Change) -> Change:
    """The change with its interval clipped: a share of requests can't change by more than 100 points."""
    if change.scale is Scale.RELATIVE:
        return change
    return replace(change, low=max(change.low, -1.0), high=min(change.high, 1.0))


def least_sd(estimates: Sequence[Estimate], metric: Metric) -> float:
    """The smallest standard deviation that a run's value can have, on the scale, however alike the runs are."""
    n = sum(estimate.n for estimate in estimates)
    if metric.dimension is Dimension.DURATION:
        return BUCKET_SD
    total = sum(estimate.value * estimate.n for estimate in estimates)
    if metric.dimension is Dimension.RATE:
        # One answer more or less at either end.
        return len(estimates) / max(total, 1.0)
    ratio = (total + 1) / (n + 2)
    return math.sqrt(ratio * (1 - ratio) * len(estimates) / max(n, 1))


def _between_runs(was: Sequence[Estimate], now: Sequence[Estimate], metric: Metric) -> float:
    """The share of the variance among a side's runs that sampling within runs doesn't explain; NaN if unknown."""
    sides = [values_of(estimates, metric) for estimates in (was, now)]
    scale, degrees = scale_of(metric), sum(max(values.size - 1, 0) for values in sides)
    squares = sum(float(np.sum((scale.of(values) - scale.of(values).mean()) ** 2)) for values in sides if values.size)
    within = [deviation**2 for estimate in (*was, *now) if math.isfinite(deviation := _within(estimate, scale))]
    if not degrees or not squares or not within:
        return math.nan
    return min(max(1 - float(np.mean(within)) * degrees / squares, 0.0), 1.0)


def _within(estimate: Estimate, scale: Scale) -> float:
    """The standard deviation due to sampling, from a run's own interval; NaN if that is open."""
    if scale is Scale.DIFFERENCE:
        return (estimate.high - estimate.low) / (2 * Z)
    if not 0 < estimate.low <= estimate.high < math.inf:
        return math.nan
    return math.log(estimate.high / estimate.low) / (2 * Z)


def is_thin(estimates: Sequence[Estimate], metric: Metric) -> bool:
    """Whether runs typically have too few answers beyond this quantile."""
    if metric.quantile is None or not estimates:
        return False
    beyond = min(metric.quantile, 1 - metric.quantile) * float(np.median([estimate.n for estimate in estimates]))
    return round(beyond, 6) < SAMPLES_BEYOND_QUANTILE


def is_constant(estimates: Sequence[Estimate]) -> bool:
    """Whether the value is the same in all runs of both sides, so there is nothing to test."""
    return len({estimate.value for estimate in estimates}) <= 1
