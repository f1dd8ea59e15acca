"""A run's frames to estimates of what thresholds and reports ask: quantiles, ratios, rates, bursts."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Final, cast

import numpy as np

from analysis.estimates.correlation import cautious_effect, design_effect, half_width_of_mean
from analysis.estimates.estimate import (
    Estimate,
    Precision,
    exact,
    mapped,
    mean_estimate,
    quantile_estimate,
    rate_estimate,
    ratio_estimate,
)
from analysis.frames.bursts import bursts
from analysis.frames.cellsums import blocks, histogram, sums_by
from loadproof.histogram import MIDPOINT_US, UPPER_US
from loadproof.outcome import ERRORS, Outcome
from loadproof.rundir.rows import REPEATED, WANTS

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from analysis.frames.traffic import Traffic
    from loadproof.plan.phases import PhaseSpan
    from loadproof.scenario.expectation import Metric
    from loadproof.scenario.scenario import Scenario, Threshold

_RATIO_OUTCOMES: Final = {
    "error_ratio": ERRORS,
    "throttled_ratio": frozenset({Outcome.THROTTLED}),
    "rejected_ratio": frozenset({Outcome.REJECTED}),
}
QUANTILES: Final = (0.5, 0.95, 0.99)
_CAUTIOUS: Final = 0.99
"""How sure has to be who says that a target will break its threshold again."""


class Noise(Enum):
    """What an interval allows for."""

    SAMPLING = auto()
    """That of independent samples: what happened in this run, with 95 % confidence."""
    SECONDS = auto()
    """Seconds that resemble their neighbours, too: what may be seen next time."""
    UNSEEN = auto()
    """And what so few seconds can't show of that, with 99 % confidence."""


@dataclass(frozen=True)
class Scope:
    """What an estimate reads: these phases and endpoints taken together."""

    phases: tuple[str, ...]
    endpoints: tuple[str, ...]
    outcome: Outcome = Outcome.OK
    series: str = "response"

    @staticmethod
    def of(threshold: Threshold, scenario: Scenario) -> Scope:
        """What a threshold reads."""
        return Scope(
            phases=scenario.phases_of(threshold),
            endpoints=scenario.endpoints_of(threshold),
            outcome=threshold.outcome,
            series=threshold.series,
        )


@dataclass(frozen=True)
class Tally:
    """Counts of one scope. Every request begun has one outcome, was unsent, or was abandoned by our own stop."""

    outcomes: dict[Outcome, int]
    good: int
    dropped: int
    abandoned: int
    repeated: int = 0
    """Of those sent: twice, the first time in vain."""
    unsent: int = 0
    """Begun, and not sent for want of the generator's own."""

    @staticmethod
    def of(counts: Mapping[tuple[str, str], int]) -> Tally:
        """By series and outcome."""
        sums: Counter[str] = Counter()
        for (series, _), count in counts.items():
            sums[series] += int(count)
        return Tally(
            outcomes={outcome: int(counts.get(("response", str(outcome)), 0)) for outcome in Outcome},
            good=sums["good"],
            dropped=sums["dropped"],
            abandoned=sums["abandoned"],
            repeated=sums[REPEATED],
            unsent=sum(sums[series] for series in WANTS.values()),
        )

    @property
    def sent(self) -> int:
        return sum(self.outcomes.values())

    @property
    def offered(self) -> int:
        return self.sent + self.dropped


def rows_of(traffic: Traffic, scope: Scope) -> pd.DataFrame:
    """The intervals of a scope's phases and endpoints."""
    return in_scope(traffic.intervals, scope)


def in_scope(intervals: pd.DataFrame, scope: Scope) -> pd.DataFrame:
    """Not copied where the scope is all there is, for that may be much."""
    for column, wanted in (("phase", scope.phases), ("endpoint", scope.endpoints)):
        inside = intervals[column].isin(wanted)
        if not inside.all():
            intervals = intervals[inside]
    return intervals


def rows_read(metric: Metric, intervals: pd.DataFrame, scope: Scope) -> pd.DataFrame:
    """What a metric reads: throughput the answers of the scope's endpoints, whichever phase had asked for them."""
    return answers_of(intervals, scope.endpoints) if metric.name == "throughput" else in_scope(intervals, scope)


def answers_of(intervals: pd.DataFrame, endpoints: Sequence[str]) -> pd.DataFrame:
    """In the seconds in which they came."""
    return intervals[(intervals["series"] == "completed") & intervals["endpoint"].isin(endpoints)]


def tally(rows: pd.DataFrame) -> Tally:
    return Tally.of(cast("dict[tuple[str, str], int]", sums_by(rows, "series", "outcome").to_dict()))


def whole_seconds(traffic: Traffic, span: PhaseSpan) -> range:
    """Those of a phase that were measured."""
    return range(math.ceil(span.start_s), int(min(span.end_s, traffic.measured_s)))


def measure(metric: Metric, traffic: Traffic, scope: Scope) -> Estimate | None:
    """The metric's estimate, or None where the scope has nothing to estimate it from."""
    return measure_each(metric, traffic, scope, (Noise.SECONDS,))[0]


def measure_each(metric: Metric, traffic: Traffic, scope: Scope, noises: Sequence[Noise]) -> list[Estimate | None]:
    """With an interval for each kind of noise."""
    rows = rows_read(metric, traffic.intervals, scope)
    seconds = Seconds.of(traffic, scope.phases)
    match metric.name:
        case "p" | "mean" | "max":
            return _time_estimates(metric, seconds, rows, scope, noises)
        case "spread":
            spreads = [burst.spread_s for burst in bursts(traffic, scope.phases)]
            return [exact(max(spreads), len(spreads)) if spreads else None for _ in noises]
        case "goodput" | "throughput":
            counted = seconds.count(rows[rows["series"] == "good"] if metric.name == "goodput" else rows)
            half = half_width_of_mean(counted, seconds.phases)
            # What happened in this run was counted.
            return [rate_estimate(counted, 0.0 if noise is Noise.SAMPLING else half) for noise in noises]
        case "count":
            sent = tally(rows).sent
            return [exact(sent, sent) for _ in noises]
        case "burn_rate":
            return _burn_rates(metric, seconds, rows, noises)
        case _:
            return _ratio_estimates(metric.name, seconds, rows, noises)


def _time_estimates(
    metric: Metric, seconds: Seconds, rows: pd.DataFrame, scope: Scope, noises: Sequence[Noise]
) -> list[Estimate | None]:
    times = rows[(rows["series"] == scope.series) & (rows["outcome"] == scope.outcome)]
    counts = histogram(rows, scope.series, scope.outcome)
    n = int(counts.sum())
    if n == 0:
        return [None for _ in noises]
    if metric.name == "max":
        return [exact(float(UPPER_US[np.flatnonzero(counts)[-1]]) * 1e-6, n) for _ in noises]
    if metric.quantile is None:
        us = times.assign(count=times["count"] * MIDPOINT_US[times["bucket"]])
        variance = float(counts @ MIDPOINT_US**2) / n - (float(counts @ MIDPOINT_US) / n) ** 2
        sums = Sums.of(us, times, seconds, variance)
        return [mean_estimate(counts, sums.precision(noise)) for noise in noises]
    at = int(np.searchsorted(np.cumsum(counts), max(1, math.ceil(metric.quantile * n))))
    sums = Sums.of(times[times["bucket"] > at], times, seconds)
    return [quantile_estimate(counts, metric.quantile, sums.precision(noise)) for noise in noises]


def _ratio_estimates(name: str, seconds: Seconds, rows: pd.DataFrame, noises: Sequence[Noise]) -> list[Estimate | None]:
    hits, sizes = ratio_rows(name, rows)
    sums = Sums.of(hits, sizes, seconds)
    counted, n = int(hits["count"].sum()), int(sizes["count"].sum())
    return [ratio_estimate(counted, n, sums.precision(noise)) for noise in noises]


def share_of(
    hits: pd.DataFrame, sizes: pd.DataFrame, seconds: Seconds, noise: Noise = Noise.SECONDS
) -> tuple[float, float]:
    """What part of these samples are hits, 0-1, and the design effect."""
    n = int(sizes["count"].sum())
    effect = Sums.of(hits, sizes, seconds).precision(noise).design_effect
    return int(hits["count"].sum()) / max(n, 1), effect


def ratio_rows(name: str, rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What a ratio counts, and of what."""
    sent = rows[rows["series"] == "response"]
    if name == "goodput_ratio":
        return rows[rows["series"] == "good"], rows[rows["series"].isin(["response", "dropped"])]
    return sent[sent["outcome"].isin(_RATIO_OUTCOMES[name])], sent


def _burn_rates(metric: Metric, seconds: Seconds, rows: pd.DataFrame, noises: Sequence[Noise]) -> list[Estimate | None]:
    """How many times as fast as its objective allows a service spends its error budget.

    Source: The Site Reliability Workbook, chapter 5 (alerting on SLOs).
    """
    budget = 1 - (metric.objective or 0.0)
    return [
        good and mapped(good, lambda ratio: (1 - ratio) / budget)
        for good in _ratio_estimates("goodput_ratio", seconds, rows, noises)
    ]


@dataclass(frozen=True)
class Seconds:
    """The whole seconds of some phases that a run lived through; shapes (seconds,)."""

    numbers: NDArray[np.int64]
    phases: NDArray[np.int64]
    """The number of each one's phase."""

    @staticmethod
    def of(traffic: Traffic, phases: Sequence[str]) -> Seconds:
        pairs = [
            (second, number)
            for number, span in enumerate(traffic.phases)
            if span.name in phases
            for second in whole_seconds(traffic, span)
        ]
        numbers, places = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
        return Seconds(numbers, places)

    def count(self, rows: pd.DataFrame) -> NDArray[np.int64]:
        """What these rows count in each second."""
        if not self.numbers.size:
            return np.zeros(0, dtype=np.int64)
        length = int(max(self.numbers[-1], rows["second"].max() if len(rows) else 0)) + 1
        sums = sum(np.bincount(block["second"], weights=block["count"], minlength=length) for block in blocks(rows))
        counted: NDArray[np.int64] = np.asarray(sums, dtype=np.int64)[self.numbers]
        return counted


@dataclass(frozen=True)
class Sums:
    """What samples sum up to in each second, and how many they are; shapes (seconds,)."""

    sums: NDArray[np.int64]
    sizes: NDArray[np.int64]
    phases: NDArray[np.int64]
    variance: float | None
    """Of one sample; None where samples are hits or not."""

    @staticmethod
    def of(sums: pd.DataFrame, sizes: pd.DataFrame, seconds: Seconds, variance: float | None = None) -> Sums:
        return Sums(seconds.count(sums), seconds.count(sizes), seconds.phases, variance)

    def precision(self, noise: Noise) -> Precision:
        if noise is Noise.SAMPLING:
            return Precision()
        counted = self.sums, self.sizes, self.phases
        if noise is Noise.SECONDS:
            return Precision(design_effect=design_effect(*counted, variance=self.variance))
        return Precision(confidence=_CAUTIOUS, design_effect=cautious_effect(*counted, variance=self.variance))
