"""Counts the requests that miss what a threshold requires: how many of how many, in each second, and which."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from loadproof.analysis.estimates.distributions import binomial_tail
from loadproof.analysis.estimates.metrics import ratio_parts
from loadproof.analysis.estimates.scope import rows_of, times_of
from loadproof.analysis.estimates.seconds import Seconds
from loadproof.histogram import LOWER_US
from loadproof.scenario.thresholds.expectation import Metric

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from loadproof.analysis.estimates.scope import Scope
    from loadproof.analysis.frames.traffic import Traffic
    from loadproof.scenario.thresholds.expectation import Expectation

_GOODPUT_RATIO: Final = Metric("goodput_ratio")
_TAIL: Final = 0.025


@dataclass(frozen=True)
class Misses:
    """Failures, late answers, refusals: whatever uses up a threshold's allowance."""

    allowed: float
    """The share of misses that the threshold allows, 0-1."""
    rows: pd.DataFrame
    """The rows of the misses, or, if `is_rest`, the rows of everything else."""
    sizes: pd.DataFrame
    seconds: Seconds
    is_rest: bool = False

    @property
    def n(self) -> int:
        return int(self.sizes["count"].sum())

    @property
    def count(self) -> int:
        counted = int(self.rows["count"].sum())
        # A damaged file may have lost more requests sent than successes.
        return max(self.n - counted, 0) if self.is_rest else min(counted, self.n)

    @property
    def bound(self) -> float:
        """Twice the allowed share.

        If more than a third is allowed, halfway from there to 100 %, because twice as much may exceed 100 %.
        """
        return min(2 * self.allowed, (1 + self.allowed) / 2)

    @property
    def are_far_too_many(self) -> bool:
        """The exact interval for independent samples is entirely above the bound; exact, because misses may be few.

        Source: Clopper & Pearson 1934, doi:10.1093/biomet/26.4.404.
        """
        return self.n > 0 and binomial_tail(self.count, self.n, self.bound) < _TAIL

    def by_second(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Misses and requests in each second; shapes (seconds,)."""
        counted, sizes = self.seconds.count(self.rows), self.seconds.count(self.sizes)
        return np.maximum(sizes - counted, 0) if self.is_rest else counted, sizes

    def between(self, start_s: int, end_s: int) -> Misses:
        """The misses among requests due in these seconds of the run; `end_s` is excluded."""
        parts = [rows[rows["second"].between(start_s, end_s - 1)] for rows in (self.rows, self.sizes)]
        return replace(self, rows=parts[0], sizes=parts[1])

    def by(self, column: str) -> dict[str, int]:
        """Misses per outcome or endpoint, most frequent first."""
        sums = [rows.groupby(column, observed=True)["count"].sum().to_dict() for rows in (self.rows, self.sizes)]
        counted = {key: size - sums[0].get(key, 0) for key, size in sums[1].items()} if self.is_rest else sums[0]
        return {str(key): int(counted[key]) for key in sorted(counted, key=lambda key: -counted[key]) if counted[key]}


def misses_of(expectation: Expectation, traffic: Traffic, scope: Scope) -> Misses | None:
    """None for what isn't a share of requests: means, rates without surplus load, observed values."""
    metric, rows = expectation.metric, rows_of(traffic, scope)
    seconds = Seconds.of(traffic, scope.phases)
    if metric.quantile is not None:
        times = times_of(rows, scope)
        slow = times[LOWER_US[times["bucket"]] >= expectation.limit * 1e6]
        return Misses(1 - metric.quantile, slow, times, seconds) if expectation.wants_low else None
    if metric.kind.is_ratio:
        allowed = expectation.limit if expectation.wants_low else 1 - expectation.limit
        return Misses(allowed, *ratio_parts(metric, rows), seconds, is_rest=not expectation.wants_low)
    allowed = _allowed_failures(expectation, metric, rows, seconds)
    return Misses(allowed, *ratio_parts(_GOODPUT_RATIO, rows), seconds, is_rest=True) if 0 < allowed < 1 else None


def _allowed_failures(expectation: Expectation, metric: Metric, rows: pd.DataFrame, seconds: Seconds) -> float:
    """The share of the offered load that need not be goodput; 0 if the threshold doesn't define one."""
    if metric.objective is not None and expectation.wants_low:
        return expectation.limit * (1 - metric.objective)
    if metric.name == "goodput" and not expectation.wants_low:
        _, offered = ratio_parts(_GOODPUT_RATIO, rows)
        return 1 - expectation.limit * seconds.numbers.size / max(int(seconds.count(offered).sum()), 1)
    return 0.0
