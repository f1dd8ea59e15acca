"""Counts to values with their evidence: the 95 % interval that each lies in, and its number of samples."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import stats

from loadproof.histogram import LOWER_US, MIDPOINT_US, UPPER_US, value_at_rank

if TYPE_CHECKING:
    from numpy.typing import NDArray

CONFIDENCE: Final = 0.95
_TAIL: Final = (1 - CONFIDENCE) / 2


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval, in SI units (s, 1/s, 0-1); `n` samples stand behind it."""

    value: float
    low: float
    high: float
    n: int


def quantile_estimate(counts: NDArray[np.int64], quantile: float) -> Estimate | None:
    """A quantile (0-1) in s of a histogram, shape (BUCKETS,); None of no values.

    The interval runs between order statistics whose ranks enclose the quantile's with 95 % whatever the
    distribution; where the sample is too small for an upper rank, it is open (inf). It takes the outer
    bounds of their buckets. Source: David & Nagaraja, Order Statistics, section 7.1.
    """
    n = int(counts.sum())
    if n == 0:
        return None
    low_rank = int(stats.binom.ppf(_TAIL, n, quantile))
    high_rank = int(stats.binom.ppf(1 - _TAIL, n, quantile)) + 1
    buckets = np.searchsorted(np.cumsum(counts), [max(low_rank, 1), min(high_rank, n)])
    return Estimate(
        value=value_at_rank(counts, max(1, math.ceil(quantile * n))) * 1e-6,
        low=float(LOWER_US[buckets[0]]) * 1e-6 if low_rank >= 1 else 0.0,
        high=float(UPPER_US[buckets[1]]) * 1e-6 if high_rank <= n else math.inf,
        n=n,
    )


def ratio_estimate(hits: int, n: int) -> Estimate | None:
    """A ratio with Wilson's interval, which stays honest at none and at all; None of no samples.

    Source: Wilson 1927, doi:10.1080/01621459.1927.10502953.
    """
    if n == 0:
        return None
    # A damaged file may have lost more of what was sent than of what went well.
    hits = min(hits, n)
    interval = stats.binomtest(hits, n).proportion_ci(CONFIDENCE, method="wilson")
    return Estimate(hits / n, float(interval.low), float(interval.high), n)


def rate_estimate(per_second: NDArray[np.int64]) -> Estimate | None:
    """Events per second from their counts in each of m seconds, with Student's interval of the mean.

    Seconds are taken as independent, which makes the interval too narrow where the target's slowness
    lasts longer than a second.
    """
    seconds = per_second.size
    if seconds == 0:
        return None
    mean = float(per_second.mean())
    if seconds == 1:
        return Estimate(mean, 0.0, math.inf, 1)
    half = float(stats.t.ppf(1 - _TAIL, seconds - 1) * per_second.std(ddof=1) / math.sqrt(seconds))
    return Estimate(mean, max(0.0, mean - half), mean + half, seconds)


def mean_estimate(counts: NDArray[np.int64]) -> Estimate | None:
    """The mean in s of a histogram, shape (BUCKETS,), with the normal interval; None of no values."""
    n = int(counts.sum())
    if n == 0:
        return None
    mean = float(counts @ MIDPOINT_US) / n
    variance = float(counts @ (MIDPOINT_US - mean) ** 2) / max(n - 1, 1)
    half = float(stats.norm.ppf(1 - _TAIL)) * math.sqrt(variance / n) if n > 1 else math.inf
    return Estimate(mean * 1e-6, max(0.0, mean - half) * 1e-6, (mean + half) * 1e-6, n)


def exact(value: float, n: int) -> Estimate:
    """A value that was counted or seen, not sampled: its interval is itself."""
    return Estimate(value, value, value, n)
