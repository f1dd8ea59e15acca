"""Turns correlated seconds into measurements with a known truth: response times, failures and answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from loadproof.analysis.estimates.designeffect import design_effect
from loadproof.analysis.estimates.estimate import Precision, quantile_estimate, ratio_estimate
from loadproof.histogram import buckets_of
from simulation.traffic import Times, counts_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from loadproof.analysis.estimates.estimate import Estimate

RPS: Final = 50
_MEDIAN_S: Final = 0.02
_NOISE: Final = 0.4
_WANDERS: Final = 0.2
P95_S: Final = float(_MEDIAN_S * np.exp(np.hypot(_NOISE, _WANDERS) * 1.6448536))
"""True 95th percentile of `response_times`."""
ERROR_RATIO: Final = float(0.05 * np.exp(0.5**2 / 2))
"""True mean ratio of `failures`."""


def response_times(random: np.random.Generator, level: Times) -> Times:
    """Response times in seconds of RPS requests per second, in order; shape (RPS * seconds,).

    `level` has a standard deviation of 1, shape (seconds,).
    """
    wandering = _WANDERS * np.repeat(level, RPS)
    times_s: Times = _MEDIAN_S * np.exp(wandering + random.normal(0, _NOISE, wandering.size))
    return times_s


def p95_of(response_s: Times) -> Estimate | None:
    """The p(95) estimate, as of a phase."""
    buckets, counts = buckets_of(response_s), counts_of(response_s)
    at = int(np.searchsorted(np.cumsum(counts), np.ceil(0.95 * response_s.size)))
    slower = (buckets > at).reshape(-1, RPS).sum(axis=1)
    return quantile_estimate(counts, 0.95, _precision(slower, np.full(slower.size, RPS)))


def failures(random: np.random.Generator, level: Times, sizes: NDArray[np.int64] | int = RPS) -> NDArray[np.int64]:
    """Failed requests per second out of `sizes`; their probability is lognormal with median 5 % and sigma 0.5."""
    return random.binomial(sizes, np.minimum(0.05 * np.exp(0.5 * level), 1), level.size)


def ratio_of(failed: NDArray[np.int64], sizes: NDArray[np.int64]) -> Estimate | None:
    """The error ratio estimate, as of a phase."""
    return ratio_estimate(int(failed.sum()), int(sizes.sum()), _precision(failed, sizes))


def answers(level: Times) -> NDArray[np.int64]:
    """Answers per second: RPS plus noise."""
    return np.rint(RPS + 10 * level).astype(np.int64)


def _precision(hits: NDArray[np.int64], sizes: NDArray[np.int64]) -> Precision:
    return Precision(design_effect=design_effect(hits, sizes, np.zeros(sizes.size, dtype=np.int64)))
