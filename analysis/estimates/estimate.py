"""Turns counts into values with their evidence: the 95 % interval of each, and its number of samples."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from loadproof.analysis.estimates.distributions import binomial_quantile, normal_quantile, t_quantile
from loadproof.histogram import LOWER_US, MIDPOINT_US, UPPER_US
from loadproof.plan.evidence import CONFIDENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True)
class Precision:
    """The confidence of an interval, and how much its samples are worth."""

    confidence: float = CONFIDENCE
    design_effect: float = 1.0
    """How many of the samples are worth one independent sample (loadproof.analysis.estimates.designeffect)."""

    @property
    def tail(self) -> float:
        return (1 - self.confidence) / 2

    @property
    def z(self) -> float:
        return normal_quantile(1 - self.tail)

    def independent(self, n: int) -> int:
        return max(1, int(n / self.design_effect))


PLAIN: Final = Precision()
"""For independent samples."""


@dataclass(frozen=True)
class Estimate:
    """A value with its interval, in SI units (s, 1/s, 0-1), and what a reader needs to know about it."""

    value: float
    low: float
    high: float
    n: int
    """The number of samples."""
    below: float | None = None
    """The limit that the value is below, where the samples themselves give no upper bound."""
    confidence: float | None = CONFIDENCE
    """The confidence, 0-1, that the interval contains the value that more samples would approach; None if unknown."""
    warnings: tuple[str, ...] = ()
    """Reservations, each a clause that continues the value."""


def quantile_estimate(counts: NDArray[np.int64], quantile: float, precision: Precision = PLAIN) -> Estimate | None:
    """A quantile (0-1) in s of a histogram, shape (BUCKETS,); None if it is empty.

    The interval runs between order statistics whose ranks enclose the quantile's with this confidence, whatever the
    distribution; if the sample is too small for an upper rank, it is open (inf). It uses the outer bounds of their
    buckets. Source: David & Nagaraja, Order Statistics, section 7.1; for dependent samples Woodruff 1952,
    doi:10.1080/01621459.1952.10483443.
    """
    return quantile_estimates(counts, (quantile,), precision)[quantile]


def quantile_estimates(
    counts: NDArray[np.int64], quantiles: Sequence[float], precision: Precision = PLAIN
) -> dict[float, Estimate | None]:
    """Like `quantile_estimate` for several quantiles at once, because tables have thousands of them."""
    cumulative = np.cumsum(counts)
    n = int(cumulative[-1])
    if n == 0:
        return dict.fromkeys(quantiles)
    independent = precision.independent(n)
    tails = np.array([[precision.tail], [1 - precision.tail]])
    lows, highs = binomial_quantile(tails, independent, np.array(quantiles)).tolist()
    estimates: dict[float, Estimate | None] = {}
    for quantile, low, high in zip(quantiles, lows, highs, strict=True):
        ranks = math.floor(low * n / independent), math.ceil((high + 1) * n / independent)
        rank = max(1, math.ceil(quantile * n))
        at, first, last = np.searchsorted(cumulative, [rank, max(ranks[0], 1), min(ranks[1], n)]).tolist()
        estimates[quantile] = Estimate(
            value=float(MIDPOINT_US[at]) * 1e-6,
            low=float(LOWER_US[first]) * 1e-6 if ranks[0] >= 1 else 0.0,
            high=float(UPPER_US[last]) * 1e-6 if ranks[1] <= n else math.inf,
            n=n,
            confidence=precision.confidence,
        )
    return estimates


def ratio_estimate(hits: int, n: int, precision: Precision = PLAIN) -> Estimate | None:
    """A ratio with Wilson's interval, which holds even for no hits or all hits; None if there are no samples."""
    if n == 0:
        return None
    # A damaged file may have lost more requests sent than successes.
    hits = min(hits, n)
    low, high = wilson(np.array([hits / n]), np.array([n / precision.design_effect]), precision.z)
    return Estimate(hits / n, float(low[0]), float(high[0]), n, confidence=precision.confidence)


def wilson(
    ratio: NDArray[np.float64], n: NDArray[np.float64], z: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Wilson's bounds of ratios, each of n > 0 independent samples; shapes as given.

    Source: Wilson 1927, doi:10.1080/01621459.1927.10502953.
    """
    middle = ratio + z**2 / (2 * n)
    half = z * np.sqrt(ratio * (1 - ratio) / n + z**2 / (4 * n**2))
    return np.clip((middle - half) / (1 + z**2 / n), 0, ratio), np.clip((middle + half) / (1 + z**2 / n), ratio, 1)


def rate_estimate(per_second: NDArray[np.int64], half: float) -> Estimate | None:
    """Events per second, from the counts of each second, plus or minus `half`; None without seconds."""
    seconds = per_second.size
    if seconds == 0:
        return None
    mean = float(per_second.mean())
    return Estimate(mean, max(0.0, mean - half), mean + half, seconds)


def mean_estimate(counts: NDArray[np.int64], precision: Precision = PLAIN) -> Estimate | None:
    """The mean in s of a histogram, shape (BUCKETS,), with Student's interval; None if it is empty."""
    n = int(counts.sum())
    if n == 0:
        return None
    mean = float(counts @ MIDPOINT_US) / n
    variance = float(counts @ (MIDPOINT_US - mean) ** 2) / max(n - 1, 1)
    t = t_quantile(1 - precision.tail, max(precision.independent(n) - 1, 1))
    half = t * math.sqrt(variance * precision.design_effect / n) if n > 1 else math.inf
    low, high = max(0.0, mean - half) * 1e-6, (mean + half) * 1e-6
    return Estimate(mean * 1e-6, low, high, n, confidence=precision.confidence)


def mapped(estimate: Estimate, falls: Callable[[float], float]) -> Estimate:
    """The estimate of a quantity that falls as the value rises; the ends of the interval swap."""
    return replace(estimate, value=falls(estimate.value), low=falls(estimate.high), high=falls(estimate.low))


def exact(value: float, n: int) -> Estimate:
    """A value that was counted or observed rather than sampled: its interval is the value itself."""
    return Estimate(value, value, value, n, confidence=1.0)


def reported(value: float, n: int, *, low: float | None = None, high: float | None = None) -> Estimate:
    """Another tool's value; its interval only covers that tool's rounding."""
    bounds = value if low is None else low, value if high is None else high
    return Estimate(value, *bounds, n, confidence=None, warnings=("no sampling error known",))
