"""How much less correlated seconds tell us than independent ones: the block bootstrap's variance, in closed form.

A target that is slow in one second is often slow in the next, so a thousand answers may tell us as little as a hundred.
Resampling blocks of seconds preserves that. For a sum, the variance over all resamples follows from the sums of blocks,
so no resampling is needed. Source: Künsch 1989, doi:10.1214/aos/1176347265; Politis & Romano 1992 (circular blocks).
docs/statistics.md shows the coverage that this gives.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from loadproof.analysis.estimates.distributions import normal_quantile, t_quantile

if TYPE_CHECKING:
    from numpy.typing import NDArray

FEWEST_SECONDS: Final = 10
"""Fewer can't show any correlation; their samples are treated as independent."""
UNSEEN_ALIKE: Final = 0.9
"""The highest correlation of neighbours that too few seconds could leave unseen."""
TAIL: Final = 0.025
"""The probability beyond either end of a 95 % interval."""
_MANY_SECONDS: Final = 300
"""With this many seconds, blocks capture the correlation themselves."""
_BY_CHANCE: Final = 1.645
"""The number of standard errors that a correlation of zero exceeds in one of twenty runs."""
_MOST_ALIKE: Final = 0.95


def sum_variance(residuals: NDArray[np.float64], independent: float = 0.0) -> tuple[float, float]:
    """The variance of a sum of correlated values with mean 0, shape (n,), and its degrees of freedom.

    Blocks capture less correlation than there is, short ones least: comparing with blocks of a third of the length
    shows how much is missed. With few values no block is long enough, so the variance is at least that of an
    autoregressive level; `independent` is the part of the sum's variance that is noise of single samples.
    Source: Vats & Flegal 2022 (lugsail estimators), doi:10.1093/biomet/asab049.
    """
    length = block_length(residuals)
    variance = _variance_by_blocks(residuals, length)
    short = _variance_by_blocks(residuals, max(1, round(length / 3)))
    least = _variance_by_level(residuals, independent) if residuals.size < _MANY_SECONDS else 0.0
    return max(variance, 2 * variance - short, least), max(1.0, residuals.size / length - 1)


def _variance_by_level(residuals: NDArray[np.float64], independent: float) -> float:
    """The sum's variance for an AR(1) level under noise; 0 if neighbours may be correlated by chance only."""
    n, variance = residuals.size, float(np.mean(residuals**2))
    correlations = _autocorrelations(residuals, 1)
    if not correlations.size or correlations[0] < _BY_CHANCE / math.sqrt(n):
        return 0.0
    shared = _unbiased(float(correlations[0]), n) * variance
    level = variance - independent / n
    if shared > _MOST_ALIKE * level:
        # The level can't vary less than neighbours share. Users at a fixed pace vary less than by chance, so all
        # variance is the level's.
        level = variance
    phi = min(shared / level, _MOST_ALIKE)
    return n * (variance - level + level * (1 + phi) / (1 - phi))


def _variance_by_blocks(residuals: NDArray[np.float64], length: int) -> float:
    n = residuals.size
    wrapped = np.concatenate([[0.0], np.cumsum(np.concatenate([residuals, residuals[: length - 1]]))])
    sums = wrapped[length:] - wrapped[:-length]
    # A block's mean is closer to the sample's mean than to the true one.
    return n / length * float(np.mean(sums**2)) * n / (n - length)


def block_length(residuals: NDArray[np.float64]) -> int:
    """The length of circular blocks: twice the optimal length for these values' correlation, from n^(1/3) to n / 4.

    Source: Politis & White 2004, doi:10.1081/ETC-120028836, corrected by Patton, Politis & White 2009; doubled, because
    the rule minimises the variance's error, and coverage suffers more from a variance that is too small.
    """
    n = residuals.size
    longest = max(1, n // 4)
    suited = _suited_length(_autocorrelations(residuals, longest), n)
    return int(np.clip(max(2 * suited if suited > 1 else 1, math.ceil(n ** (1 / 3))), 1, longest))


def _suited_length(correlations: NDArray[np.float64], n: int) -> int:
    """Politis and White's optimal length, from the correlations at lag 1, 2, …."""
    last = _last_significant(correlations, n)
    if not last:
        return 1
    lags = np.arange(1, min(2 * last, correlations.size) + 1)
    # A flat top with linear flanks.
    part = np.clip(2 * (1 - lags / (2 * last)), 0, 1) * correlations[: lags.size]
    bias, scale = 2 * float(part @ lags), 1 + 2 * float(part.sum())
    return math.ceil((1.5 * bias**2 / scale**2 * n) ** (1 / 3)) if scale > 0 else 1


def _autocorrelations(residuals: NDArray[np.float64], lags: int) -> NDArray[np.float64]:
    """Autocorrelations at lag 1, 2, …, shape (lags,); empty if the values don't vary."""
    padded = np.fft.rfft(residuals, 2 * residuals.size)
    covariances: NDArray[np.float64] = np.fft.irfft(padded * padded.conj())[: lags + 1]
    return covariances[1:] / covariances[0] if covariances[0] > 0 else np.array([])


def neighbours_correlation(values: NDArray[np.float64]) -> float:
    """The correlation of values with their successors, -1 to _MOST_ALIKE."""
    residuals = values - values.mean()
    # If all values are the same, the residuals are only rounding errors.
    found = _autocorrelations(residuals, 1) if np.ptp(residuals) > 1e-9 * abs(values.mean()) else np.array([])
    return min(_MOST_ALIKE, _unbiased(float(found[0]), values.size)) if found.size else 0.0


def _unbiased(correlation: float, n: int) -> float:
    """The correlation corrected to first order for the bias of a sample of n values.

    Source: Marriott & Pope 1954, doi:10.1093/biomet/41.3-4.390.
    """
    return correlation + (1 + 3 * correlation) / n


def _last_significant(correlations: NDArray[np.float64], n: int) -> int:
    """The lag after which several in a row are no larger than noise; 0 if the first one isn't."""
    in_a_row = max(5, math.ceil(math.sqrt(math.log10(n))))
    noise = 2 * math.sqrt(math.log10(n) / n)
    quiet = 0
    for lag, correlation in enumerate(np.abs(correlations), start=1):
        quiet = quiet + 1 if correlation < noise else 0
        if quiet == in_a_row:
            return lag - in_a_row
    return len(correlations) - quiet


def students_factor(freedom: float) -> float:
    """How many times wider an interval from a few blocks is than one from many."""
    return t_quantile(1 - TAIL, freedom) / normal_quantile(1 - TAIL)


def unseen_variance(varies: float, noise: float, n: int) -> float:
    """The variance of the mean of n seconds that is due to their level, if it is as correlated as can be unseen.

    `varies` is the mean square of their residuals, and `noise` the part of it that is not the level's.
    """
    level = max(varies - noise, 0.0) + noise * math.sqrt(2 / n)
    part = part_in_mean(n)
    return level * part / (1 - part)


def part_in_mean(n: int) -> float:
    """The share of a level's variance that the mean of n seconds has, if it is as correlated as can be unseen."""
    lags = np.arange(1, n)
    return float(n + 2 * ((n - lags) * UNSEEN_ALIKE**lags).sum()) / n**2
