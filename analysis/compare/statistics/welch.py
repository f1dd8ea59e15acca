"""Turns the values of whole runs into a change with its interval: by Welch's test, or within blocks of runs.

Requests of one run share its luck, so the run is the replicate, not the request.
Source: Kalibera and Jones 2013, doi:10.1145/2491894.2464160.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

import numpy as np

from loadproof.analysis.estimates.distributions import t_quantile, t_tail
from loadproof.analysis.estimates.estimate import Estimate
from loadproof.plan.evidence import CONFIDENCE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Values = NDArray[np.float64]
    Blocks = tuple[NDArray[np.int64], NDArray[np.int64]]

BUCKET_SD: Final = 2**-7 / math.sqrt(12)
"""The standard deviation that rounding to a histogram's buckets adds to the logarithm of a time."""


class Scale(Enum):
    """The scale on which values are compared."""

    RELATIVE = auto()
    """Times and rates: logarithms, because noise multiplies them."""
    DIFFERENCE = auto()
    """Shares of requests: unchanged, because many are 0 or 1."""

    def of(self, values: Values) -> Values:
        """Values on this scale; times and rates must be above zero."""
        return np.log(values) if self is Scale.RELATIVE else values

    def shown(self, difference: float) -> float:
        """A difference on this scale as shown: as a fraction of the baseline's value, or unchanged."""
        return math.expm1(difference) if self is Scale.RELATIVE else difference


@dataclass(frozen=True)
class Change:
    """The change from baseline to candidate; with a single run on a side only `ratio` is known, the rest is NaN."""

    ratio: float
    """Candidate / baseline - 1, from geometric means; for shares of requests, the difference of the means."""
    low: float
    high: float
    """The ends of the interval of `ratio`."""
    p: float
    """How often noise alone makes two groups of runs of the same release differ by at least this much."""
    baseline_n: int
    candidate_n: int
    standard_error: float
    """The standard error of the difference, on the scale."""
    degrees: float
    """Degrees of freedom."""
    scale: Scale = Scale.RELATIVE

    @property
    def difference(self) -> float:
        """The change on the scale."""
        return math.log1p(self.ratio) if self.scale is Scale.RELATIVE else self.ratio


def change(
    baseline: Values,
    candidate: Values,
    *,
    blocks: Blocks | None = None,
    confidence: float = CONFIDENCE,
    scale: Scale = Scale.RELATIVE,
    least_sd: float = BUCKET_SD,
) -> Change:
    """The change of a value between two groups of runs, one value per run; shapes (runs,), in any unit.

    `blocks` are the block numbers of each side's runs: runs made next to each other share what the machine did then.
    `least_sd` is the smallest standard deviation of a value, on the scale, however equal the runs look.
    Source: Welch 1947, doi:10.1093/biomet/34.1-2.28.
    """
    was, now = scale.of(baseline), scale.of(candidate)
    found = _within_blocks(was, now, blocks, least_sd) if blocks is not None else None
    middle, error, degrees = found or _between_groups(was, now, least_sd)
    half = t_quantile((1 + confidence) / 2, degrees) * error if error > 0 else math.nan
    return Change(
        ratio=scale.shown(middle),
        low=scale.shown(middle - half),
        high=scale.shown(middle + half),
        p=2 * t_tail(abs(middle) / error, degrees) if error > 0 else math.nan,
        baseline_n=was.size,
        candidate_n=now.size,
        standard_error=error,
        degrees=degrees,
        scale=scale,
    )


def _between_groups(was: Values, now: Values, least_sd: float) -> tuple[float, float, float]:
    """Difference of means, its standard error, degrees of freedom; the last two are NaN with a single run on a side.

    scipy.stats has this too, but takes a hundred times as long.
    """
    middle = float(now.mean() - was.mean())
    if min(was.size, now.size) < 2:
        return middle, math.nan, math.nan
    sides = (_spread(was, least_sd), _spread(now, least_sd))
    variances = [float(values.var(ddof=1)) / values.size for values in sides]
    of_degrees = sum(variance**2 / (values.size - 1) for variance, values in zip(variances, sides, strict=True))
    degrees = sum(variances) ** 2 / of_degrees if of_degrees > 0 else math.nan
    return middle, math.sqrt(sum(variances)), degrees


def _spread(values: Values, least_sd: float) -> Values:
    """The values, or, if their standard deviation is below `least_sd`, values spread by that much about their mean."""
    if values.std(ddof=1) >= least_sd:
        return values
    pattern = np.linspace(-1, 1, values.size)
    spread: Values = values.mean() + pattern * (least_sd / pattern.std(ddof=1))
    return spread


def _within_blocks(was: Values, now: Values, blocks: Blocks, least_sd: float) -> tuple[float, float, float] | None:
    """Least squares with one effect per block; for pairs it is the paired test. None if no block has both sides.

    Source: Fisher 1926, doi:10.23637/rothamsted.8v61q (the arrangement of field experiments).
    """
    values, numbers = np.concatenate([was, now]), np.concatenate(blocks)
    names, places = np.unique(numbers, return_inverse=True)
    is_now = np.arange(values.size) >= was.size
    design = np.column_stack([is_now, np.eye(names.size)[places]])
    degrees = values.size - names.size - 1
    if degrees < 1 or np.linalg.matrix_rank(design) <= names.size:
        return None
    inverse = np.linalg.inv(design.T @ design)
    effects = inverse @ design.T @ values
    variance = max(float(np.sum((values - design @ effects) ** 2)) / degrees, least_sd**2)
    return float(effects[0]), math.sqrt(variance * inverse[0, 0]), float(degrees)


def mean_of_runs(values: Values, *, scale: Scale = Scale.RELATIVE, confidence: float = CONFIDENCE) -> Estimate:
    """The mean of one side's runs (geometric for times and rates) with Student's interval; shape (runs,)."""
    on_scale = scale.of(values)
    middle, n = float(on_scale.mean()), values.size
    half = t_quantile((1 + confidence) / 2, n - 1) * float(on_scale.std(ddof=1)) / math.sqrt(n) if n > 1 else math.nan
    ends = middle, middle - half, middle + half
    value, low, high = map(math.exp, ends) if scale is Scale.RELATIVE else ends
    return Estimate(value, low, high, n, confidence=confidence)
