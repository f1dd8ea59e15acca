"""Fits a line with one bend to points by least squares, and determines whether it is flat after the bend."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from loadproof.analysis.estimates.distributions import t_quantile

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FLAT_SLOPE: Final = 0.25
_CONFIDENCE: Final = 0.99


@dataclass(frozen=True)
class BentLine:
    knot: float
    squares: float
    """The sum of the squared residuals."""
    at_lowest_rps: float
    at_knot_rps: float
    before: float
    """Slopes, in requests/s per user."""
    behind: float
    behind_error: float
    freedom: int

    @property
    def is_flat_behind(self) -> bool:
        """Whether it rose by half before the knot, and certainly has less than a quarter of that slope after it."""
        rose = self.before > 0 and self.at_knot_rps >= 1.5 * max(self.at_lowest_rps, 0.0)
        bound = self.behind + t_quantile(_CONFIDENCE, self.freedom) * self.behind_error
        return rose and bound < _FLAT_SLOPE * self.before


def bent_line(users: NDArray[np.float64], rates_rps: NDArray[np.float64], knot: float) -> BentLine:
    """Least squares of a + b min(users, knot) + c max(users - knot, 0)."""
    design = np.column_stack((np.ones(len(users)), np.minimum(users, knot), np.maximum(users - knot, 0)))
    solution = np.linalg.lstsq(design, rates_rps, rcond=None)[0]
    squares = float(((rates_rps - design @ solution) ** 2).sum())
    # Four parameters: the knot is fitted too.
    freedom = max(len(users) - 4, 1)
    covariance = np.linalg.pinv(design.T @ design) * squares / freedom
    start, before, behind = (float(part) for part in solution)
    return BentLine(
        knot=float(knot),
        squares=squares,
        at_lowest_rps=start + before * float(users.min()),
        at_knot_rps=start + before * float(knot),
        before=before,
        behind=behind,
        behind_error=math.sqrt(max(float(covariance[2, 2]), 0.0)),
        freedom=freedom,
    )
