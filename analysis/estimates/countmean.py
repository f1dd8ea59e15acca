"""The half-width of the interval of a mean of per-second counts, which vary by chance and as planned."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from loadproof.analysis.estimates.correlation import (
    TAIL,
    UNSEEN_ALIKE,
    part_in_mean,
    students_factor,
    sum_variance,
    unseen_variance,
)
from loadproof.analysis.estimates.distributions import normal_quantile, t_quantile

if TYPE_CHECKING:
    from numpy.typing import NDArray

_UNSURE: Final = 3.0
"""The relative error of the noise of a single second is hardly ever larger; as simulated."""
_CAUTIOUS_TAIL: Final = 0.005


def half_width_of_mean(
    values: NDArray[np.int64], phases: NDArray[np.int64], planned: NDArray[np.float64] | None = None
) -> float:
    """Half the width of the 95 % interval of the mean of per-second counts; shapes (seconds,).

    `planned` is the load of each second, in a unit of its phase: variation that follows it is not chance.
    """
    return _half_width(_Unplanned.of(values, phases, planned), 1 - TAIL)


def cautious_half_width_of_mean(
    values: NDArray[np.int64], phases: NDArray[np.int64], planned: NDArray[np.float64] | None = None
) -> float:
    """Like `half_width_of_mean`, but of the 99 % interval, and with what `cautious_effect` allows for.

    How much of the variation is noise of single requests has to be estimated: random arrivals vary as much as there are
    of them, users at a fixed pace not at all.
    """
    left = _Unplanned.of(values, phases, planned)
    shown, n = _half_width(left, 1 - _CAUTIOUS_TAIL), values.size
    if not math.isfinite(shown):
        return shown
    varies, differs = float(np.mean(left.residuals**2)), float(np.mean(np.diff(left.residuals) ** 2)) / 2
    noise = min(float(values.mean()), _noise_of(varies, differs, n))
    unseen = left.scale * unseen_variance(varies, noise, n)
    return max(shown, normal_quantile(1 - _CAUTIOUS_TAIL) * math.sqrt(unseen) * students_factor(4 + left.free / 8))


def _noise_of(varies: float, differs: float, n: int) -> float:
    """The least noise of n seconds, from their mean square and half that of the differences between neighbours.

    Both have all of the noise. Of a level, the first has what doesn't go into the mean, and the second what isn't
    shared with the neighbour. The estimate's own error is below _UNSURE / sqrt(n) of it.
    """
    among, between = 1 - part_in_mean(n), 1 - UNSEEN_ALIKE
    surely = 1 - _UNSURE / math.sqrt(n)
    if among <= between or surely <= 0:
        return 0.0
    return min(max(0.0, (differs * among - varies * between) / (among - between)), varies) * surely


def _half_width(left: _Unplanned, probability: float) -> float:
    if left.free < 1:
        return math.inf
    variance, freedom = sum_variance(left.residuals)
    return t_quantile(probability, min(freedom, left.free)) * math.sqrt(left.scale * variance) / left.residuals.size


@dataclass(frozen=True)
class _Unplanned:
    """How counts of seconds vary, apart from what was planned."""

    residuals: NDArray[np.float64]
    """Shape (seconds,)."""
    free: int
    """Their degrees of freedom; 0 for a single second."""
    scale: float
    """How many times larger their variance is than it seems, because a level and a slope were fitted."""

    @staticmethod
    def of(values: NDArray[np.int64], phases: NDArray[np.int64], planned: NDArray[np.float64] | None) -> _Unplanned:
        residuals, free, scale = np.zeros(values.size), 0, 1.0
        for phase in np.unique(phases):
            inside = phases == phase
            residuals[inside] = values[inside] - values[inside].mean()
            loaded, fitted = int(inside.sum()), 1
            if planned is not None and np.ptp(planned[inside]) > 0:
                residuals[inside] -= _following(residuals[inside], planned[inside])
                loaded = int(np.count_nonzero(planned[inside]))
                # Bursts have a level, in the few seconds in which they are; ramps a level and a slope.
                fitted = 2 if loaded == inside.sum() else 1
                scale = max(scale, loaded / max(loaded - fitted, 1))
            free += loaded - fitted
        return _Unplanned(residuals, free, scale)


def _following(residuals: NDArray[np.float64], planned: NDArray[np.float64]) -> NDArray[np.float64]:
    """The part of them that grows in proportion to the planned load's distance from its mean, by least squares."""
    uneven = planned - planned.mean()
    slope = float(uneven @ residuals) / float(uneven @ uneven)
    part: NDArray[np.float64] = uneven * max(slope, 0.0)
    return part
