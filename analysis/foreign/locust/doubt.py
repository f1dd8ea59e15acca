"""A doubt: what rows of Locust's statistics may lack, and whether that could change a verdict."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loadproof.analysis.estimates.estimate import ratio_estimate

if TYPE_CHECKING:
    from loadproof.analysis.estimates.estimate import Estimate
    from loadproof.analysis.foreign.locust.entries import Entry
    from loadproof.scenario.thresholds.expectation import Expectation


@dataclass(frozen=True)
class Doubt:
    """Requests that these rows may lack.

    `failures` of them failed, and `slow` of them may have taken any time up to `longest_s`.
    """

    why: str
    requests: float
    failures: float
    slow: float
    longest_s: float = math.inf
    """None of these took longer, in s."""
    more_s: float = 0.0
    """How much longer the run took than the rows say, in s."""
    is_of_all: bool = False
    """None of the rows' numbers can be relied on."""
    is_judged: bool = False
    """What they lack is known from a later state; its percentiles only if they cover the entire run."""

    def turns(self, expectation: Expectation, entry: Entry, later: Estimate | None) -> bool:
        """Whether a threshold that these rows meet could be violated if everything they lack were bad.

        `later` is the metric in a later state, which is judged separately; None if it doesn't have the metric.
        """
        name = expectation.metric.name
        if self.is_of_all:
            return True
        if name == "count" or (self.is_judged and later is not None):
            return False
        keeps = {
            "p": self._keeps_percentile,
            "error_ratio": self._keeps_errors,
            "mean": self._keeps_mean,
            "throughput": self._keeps_throughput,
            "max": self._keeps_longest,
        }[name]
        return not keeps(expectation, entry)

    def _keeps_percentile(self, expectation: Expectation, entry: Entry) -> bool:
        """With `slow` more requests above it, the percentile is at a higher rank of these rows: the next column."""
        rank = (expectation.metric.quantile or 0.0) * (entry.requests + self.slow) / entry.requests
        if not self.slow:
            return True
        beyond = [quantile for quantile in entry.quantiles if quantile >= rank]
        return bool(beyond) and expectation.holds(entry.quantiles[min(beyond)].high)

    def _keeps_longest(self, expectation: Expectation, _: Entry) -> bool:
        return not self.slow or expectation.holds(self.longest_s)

    def _keeps_errors(self, expectation: Expectation, entry: Entry) -> bool:
        if math.isinf(self.requests):
            return False
        estimate = ratio_estimate(entry.failures + int(self.failures), entry.requests + int(self.requests))
        return estimate is not None and expectation.holds(estimate.high)

    def _keeps_mean(self, expectation: Expectation, entry: Entry) -> bool:
        if not self.slow or entry.mean is None or math.isinf(self.longest_s):
            return not self.slow
        total_s = entry.mean.high * entry.requests + self.longest_s * self.slow
        return expectation.holds(total_s / (entry.requests + self.slow))

    def _keeps_throughput(self, expectation: Expectation, entry: Entry) -> bool:
        if not self.more_s or entry.throughput is None or entry.throughput.value <= 0:
            return True
        return expectation.holds(entry.requests / (entry.requests / entry.throughput.value + self.more_s))
