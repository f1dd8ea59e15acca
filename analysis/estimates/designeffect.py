"""The design effect of a mean or a ratio: how many of its samples are worth one, as neighbouring seconds are alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from loadproof.analysis.estimates.correlation import FEWEST_SECONDS, students_factor, sum_variance, unseen_variance

if TYPE_CHECKING:
    from numpy.typing import NDArray


def design_effect(
    sums: NDArray[np.int64],
    sizes: NDArray[np.int64],
    phases: NDArray[np.int64],
    *,
    variance: float | None = None,
) -> float:
    """How many samples of a mean are worth one independent sample; at least 1.

    `sums` and `sizes` are the sum and the number of samples in each second, `phases` the number of its phase, shapes
    (seconds,); differences between phases were planned and are not noise. `variance` is the variance of one sample;
    omit it if samples are hits or misses.
    """
    residuals, independent = _residuals(sums, sizes, phases, variance)
    if np.count_nonzero(sizes) < FEWEST_SECONDS or independent <= 0:
        return 1.0
    total, freedom = sum_variance(residuals, independent)
    return max(1.0, total / independent * students_factor(freedom) ** 2)


def cautious_effect(
    sums: NDArray[np.int64],
    sizes: NDArray[np.int64],
    phases: NDArray[np.int64],
    *,
    variance: float | None = None,
) -> float:
    """Like `design_effect`, but allows for a level that fluctuates too slowly for these seconds to show it.

    Seconds vary with the noise of single samples and with the level. For n seconds of an AR(1) level, a share v of the
    level's variance goes into the mean, and the rest, 1 - v, shows as variation among the seconds. How far a mean goes
    beyond that was simulated (tests/statistics/test_in_this_run.py): Student's t with about 4 + n / 8 degrees of
    freedom.
    """
    n = sums.size
    residuals, independent = _residuals(sums, sizes, phases, variance)
    if n < 2 or independent <= 0:
        return float(max(1, sizes.sum()))
    noise = independent / n
    unseen = unseen_variance(float(np.mean(residuals**2)), noise, n) * n / noise
    return max(design_effect(sums, sizes, phases, variance=variance), 1 + unseen * students_factor(4 + n / 8) ** 2)


def _residuals(
    sums: NDArray[np.int64], sizes: NDArray[np.int64], phases: NDArray[np.int64], variance: float | None
) -> tuple[NDArray[np.float64], float]:
    """Each second's sum minus what its phase's mean predicts, and the variance of the total for independent samples."""
    residuals, independent = np.zeros(sums.size), 0.0
    for phase in np.unique(phases):
        inside = phases == phase
        n = int(sizes[inside].sum())
        mean = float(sums[inside].sum()) / n if n else 0.0
        residuals[inside] = sums[inside] - mean * sizes[inside]
        independent += n * (mean * (1 - mean) if variance is None else variance)
    return residuals, independent
