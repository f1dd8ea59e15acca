"""Estimates the load at which half of the trials meet their goals, from trials at loads around it.

The share of trials that meet them is modelled as a logistic curve of the load's logarithm. Its middle has an interval
by profile likelihood, which holds even with ten trials, and where no trial contradicts another.
Source: Venzon and Moolgavkar (1988), A Method for Computing Profile-Likelihood-Based Confidence Intervals,
doi:10.2307/2347496.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from loadproof.analysis.estimates.distributions import t_quantile
from loadproof.analysis.estimates.estimate import Estimate
from loadproof.plan.evidence import CONFIDENCE

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MARGIN: Final = math.log(1.5)
"""How far the middle may lie beyond the highest load kept and the lowest load lost, in log load."""
_STEP: Final = 0.001
"""Between two middles that are tried, in log load."""
_SLOPES: Final = np.geomspace(2.0, 1000.0, 30)
"""Of the curve, per unit of log load: from nearly flat to a cliff within a thousandth of the load."""


def half_point(loads_rps: Sequence[float], kept: Sequence[bool], *, near: int) -> Estimate | None:
    """The load with its 95 % interval; 0 or infinite where the trials don't bound it. None if all had the same result.

    Trials have the same length; each has a load, and `kept` if it met all goals. `near` of them were made close to the
    estimate. The interval rests on these: its cut-off is Student's t with `near` - 2 degrees of freedom, because the
    curve has two parameters.
    """
    if not kept or all(kept) or not any(kept):
        return None
    cutoff = t_quantile((1 + CONFIDENCE) / 2, max(1, near - 2)) ** 2 / 2
    logs, signs = np.log(np.asarray(loads_rps)), np.where(kept, 1.0, -1.0)
    edges = logs[signs > 0].max(), logs[signs < 0].min()
    middles = np.arange(min(edges) - _MARGIN, max(edges) + _MARGIN, _STEP)
    likelihood = _profile(middles, logs, signs)
    best = float(likelihood.max())
    # If no trials contradict each other, the likelihood may have a plateau: take its middle.
    peak = middles[likelihood >= best - 1e-9]
    inside = np.flatnonzero(likelihood >= best - cutoff)
    low = 0.0 if inside[0] == 0 else float(np.exp(middles[inside[0]]))
    high = math.inf if inside[-1] == len(middles) - 1 else float(np.exp(middles[inside[-1]]))
    return Estimate(float(np.exp((peak[0] + peak[-1]) / 2)), low, high, len(kept))


def _profile(
    middles: NDArray[np.float64], logs: NDArray[np.float64], signs: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The log-likelihood of each middle with its best slope; shape as `middles`."""
    best = np.full(len(middles), -np.inf)
    distance = (middles[:, None] - logs[None, :]) * signs[None, :]
    for slope in _SLOPES:
        np.maximum(best, -np.logaddexp(0.0, -slope * distance).sum(axis=1), out=best)
    return best
