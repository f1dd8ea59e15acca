"""Turns a scope's rows into metrics: for each name in a threshold, the rows it reads and how it is estimated.

Their names, and what they count, are in loadproof.scenario.thresholds.metrics; metrics that need more than a scope's
rows have modules of their own (recovery, drift).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np

from loadproof.analysis.estimates.countmean import cautious_half_width_of_mean, half_width_of_mean
from loadproof.analysis.estimates.estimate import (
    Estimate,
    exact,
    mapped,
    mean_estimate,
    quantile_estimate,
    rate_estimate,
    ratio_estimate,
)
from loadproof.analysis.estimates.scope import answers_of, in_scope, times_of
from loadproof.analysis.estimates.seconds import Noise, Seconds, Sums
from loadproof.analysis.frames.bursts import bursts
from loadproof.analysis.frames.cellsums import among, histogram
from loadproof.histogram import MIDPOINT_US, UPPER_US
from loadproof.units import Dimension

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from loadproof.analysis.estimates.scope import Scope
    from loadproof.analysis.frames.traffic import Traffic
    from loadproof.scenario.thresholds.expectation import Metric
    from loadproof.scenario.thresholds.metrics import Counted

QUANTILES: Final = (0.5, 0.95, 0.99)


@dataclass(frozen=True)
class Reading:
    """The input of an estimator."""

    metric: Metric
    traffic: Traffic
    scope: Scope
    rows: pd.DataFrame
    """The rows that the estimator reads."""

    @cached_property
    def seconds(self) -> Seconds:
        return Seconds.of(self.traffic, self.scope.phases)

    @cached_property
    def times(self) -> pd.DataFrame:
        """The rows of the scope's series and outcome."""
        return times_of(self.rows, self.scope)

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """The number of times in each of the seconds; shape (seconds,)."""
        return self.seconds.count(self.times)

    @cached_property
    def histogram(self) -> NDArray[np.int64]:
        """The histogram of the times, shape (BUCKETS,)."""
        return histogram(self.rows, self.scope.series, self.scope.outcome)

    def of(self, metric: Metric) -> Reading:
        """The same rows for another metric that reads them, without counting them again."""
        other = replace(self, metric=metric)
        other.__dict__.update(self.__dict__ | {"metric": metric})
        return other


class Estimator(ABC):
    """How a metric is computed."""

    is_sampled: ClassVar[bool] = True
    """Its interval narrows with the square root of its number of samples."""
    is_seen: ClassVar[bool] = False
    """It is observed rather than estimated, and says nothing about the next run."""

    def rows(self, intervals: pd.DataFrame, scope: Scope) -> pd.DataFrame:
        """The rows that the metric reads."""
        return in_scope(intervals, scope)

    @abstractmethod
    def estimates(self, reading: Reading, noises: Sequence[Noise]) -> list[Estimate | None]:
        """One estimate for each kind of noise; None if there is nothing to estimate from."""


class _Quantile(Estimator):
    def estimates(self, reading: Reading, noises: Sequence[Noise]) -> list[Estimate | None]:
        if reading.times.empty:
            return [None for _ in noises]
        counts, quantile = reading.histogram, reading.metric.quantile or 0.0
        at = int(np.searchsorted(np.cumsum(counts), max(1, math.ceil(quantile * int(counts.sum())))))
        slower = reading.seconds.count(reading.times[reading.times["bucket"] > at])
        sums = Sums(slower, reading.sizes, reading.seconds.phases, None)
        return [quantile_estimate(counts, quantile, sums.precision(noise)) for noise in noises]


class _Mean(Estimator):
    def estimates(self, reading: Reading, noises: Sequence[Noise]) -> list[Estimate | None]:
        counts, times = reading.histogram, reading.times
        if times.empty:
            return [None for _ in noises]
        n = int(counts.sum())
        us = times.assign(count=times["count"] * MIDPOINT_US[times["bucket"]])
        variance = float(counts @ MIDPOINT_US**2) / n - (float(counts @ MIDPOINT_US) / n) ** 2
        sums = Sums.of(us, times, reading.seconds, variance)
        return [mean_estimate(counts, sums.precision(noise)) for noise in noises]


class _Longest(Estimator):
    is_sampled, is_seen = False, True

    def estimates(self, reading: Reading, noises: Sequence[Noise]) -> list[Estimate | None]:
        buckets = np.flatnonzero(reading.histogram)
        n = int(reading.histogram.sum())
        return [exact(float(UPPER_US[buckets[-1]]) * 1e-6, n) if n else None for _ in noises]


class _Spread(Estimator):
    is_sampled, is_seen = False, True

    def estimates(self, reading: Reading, noises: Sequence[Noise]) -> list[Estimate | None]:
        spreads = [burst.spread_s for burst in bursts(reading.traffic, reading.scope.phases)]
        return [exact(max(spreads), len(spreads)) if spreads else None for _ in noises]


@dataclass(frozen=True)
class _Count(Estimator):
    counted: Counted
    is_sampled, is_seen = False, True

    def estimates(self, reading: Reading, noises: Sequence[Noise]) -> list[Estimate | None]:
        count = int(counted_in(reading.rows, self.counted)["count"].sum())
        return [exact(count, count) for _ in noises]


@dataclass(frozen=True)
class Rate(Estimator):
    """Requests of a kind, per second."""

    counted: Counted

    def rows(self, intervals: pd.DataFrame, scope: Scope) -> pd.DataFrame:
        return answers_of(intervals, scope.endpoints) if self.counted.by_arrival else super().rows(intervals, scope)

    def estimates(self, reading: Reading, noises: Sequence[Noise]) -> list[Estimate | None]:
        counted = reading.seconds.count(counted_in(reading.rows, self.counted))
        of_seconds = counted, reading.seconds.phases, reading.seconds.planned(reading.traffic.phases)
        return [rate_estimate(counted, _half_width(noise, *of_seconds)) for noise in noises]


def _half_width(
    noise: Noise, counted: NDArray[np.int64], phases: NDArray[np.int64], planned: NDArray[np.float64]
) -> float:
    if noise is Noise.SAMPLING:
        return 0.0  # This run's requests were counted, not sampled.
    half_width = cautious_half_width_of_mean if noise is Noise.UNSEEN else half_width_of_mean
    return half_width(counted, phases, planned)


@dataclass(frozen=True)
class Ratio(Estimator):
    """A share of requests; with an objective, the burn rate."""

    counted: Counted
    out_of: Counted

    def parts(self, rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The rows counted, and the rows they are a share of."""
        return counted_in(rows, self.counted), counted_in(rows, self.out_of)

    def estimates(self, reading: Reading, noises: Sequence[Noise]) -> list[Estimate | None]:
        hits, sizes = self.parts(reading.rows)
        sums = Sums.of(hits, sizes, reading.seconds)
        counted, n = int(hits["count"].sum()), int(sizes["count"].sum())
        ratios = [ratio_estimate(counted, n, sums.precision(noise)) for noise in noises]
        objective = reading.metric.objective
        if objective is None:
            return ratios
        return [goodput and burn_rate(goodput, objective) for goodput in ratios]


def burn_rate(goodput: Estimate, objective: float) -> Estimate:
    """How many times faster than an objective allows its budget of bad requests is spent, from the goodput ratio.

    Source: The Site Reliability Workbook, chapter 5 (alerting on SLOs).
    """
    budget = 1 - objective
    return mapped(goodput, lambda ratio: (1 - ratio) / budget)


ESTIMATORS: Final[dict[str, Estimator]] = {"p": _Quantile(), "mean": _Mean(), "max": _Longest(), "spread": _Spread()}
"""Estimators by metric name, for metrics that are more than a count of requests."""


def estimator_of(metric: Metric) -> Estimator:
    kind = metric.kind
    if kind.counted is None:
        return ESTIMATORS[metric.name]
    if kind.out_of is not None:
        return Ratio(kind.counted, kind.out_of)
    return Rate(kind.counted) if kind.dimension is Dimension.RATE else _Count(kind.counted)


def counted_in(rows: pd.DataFrame, counted: Counted) -> pd.DataFrame:
    """The rows that count these requests."""
    chosen = among(rows["series"], counted.series)
    if counted.outcomes is not None:
        chosen &= among(rows["outcome"], counted.outcomes)
    return rows[chosen]


def counted_estimate(metric: Metric, traffic: Traffic, scope: Scope) -> Estimate | None:
    """The metric's estimate, or None if the scope has nothing to estimate it from."""
    return counted_estimates(metric, traffic, scope, (Noise.SECONDS,))[0]


def counted_estimates(metric: Metric, traffic: Traffic, scope: Scope, noises: Sequence[Noise]) -> list[Estimate | None]:
    """Like `counted_estimate`, with one interval for each kind of noise."""
    reading = Reading(metric, traffic, scope, rows_read(metric, traffic.intervals, scope))
    return estimator_of(metric).estimates(reading, noises)


def estimates_of(metrics: Sequence[Metric], traffic: Traffic, scope: Scope) -> list[Estimate | None]:
    """What `counted_estimate` returns for each of these metrics of one scope, several times faster."""
    readings: dict[bool, Reading] = {}
    estimates: list[Estimate | None] = []
    for metric in metrics:
        estimator, by_arrival = estimator_of(metric), metric.kind.is_by_arrival
        known = readings.get(by_arrival)
        rows = estimator.rows(traffic.intervals, scope) if known is None else known.rows
        readings[by_arrival] = Reading(metric, traffic, scope, rows) if known is None else known.of(metric)
        estimates += estimator.estimates(readings[by_arrival], (Noise.SECONDS,))
    return estimates


def rows_read(metric: Metric, intervals: pd.DataFrame, scope: Scope) -> pd.DataFrame:
    """The rows that a metric reads."""
    return estimator_of(metric).rows(intervals, scope)


def ratio_parts(metric: Metric, rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows counted by a ratio, or by a burn rate's ratio, and those it is a share of.

    TypeError for other metrics.
    """
    estimator = estimator_of(metric)
    if not isinstance(estimator, Ratio):
        raise TypeError(f"{metric} is no ratio")
    return estimator.parts(rows)
