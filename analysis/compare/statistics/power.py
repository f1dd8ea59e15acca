"""Turns the noise of a comparison into what it could have found, and how many runs would decide."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import special

from loadproof.analysis.compare.statistics.equivalence import LEVEL, margin_on
from loadproof.analysis.estimates.distributions import t_quantile

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from loadproof.analysis.compare.statistics.welch import Change

POWER: Final = 0.8
"""The probability with which a detectable change is found."""
MOST_RUNS: Final = 200
"""On a side: nobody will make more."""
_RUNS: Final = np.arange(2, MOST_RUNS + 1)


def detectable(change: Change, level: float) -> float:
    """The smallest change, in units of `change.ratio`, that such runs show at this level in four of five comparisons.

    Source: Cohen 1988, doi:10.4324/9780203771587, by shifted t rather than noncentral t; NaN with one run on a side.
    """
    if not change.standard_error > 0:
        return math.nan
    reach = t_quantile(1 - level / 2, change.degrees) + t_quantile(POWER, change.degrees)
    return change.scale.shown(reach * change.standard_error)


def runs_to_decide(change: Change, *, margin: float, level: float) -> int | None:
    """How many runs on each side would decide in four of five comparisons, if the change is as large as it looks.

    They would show either that there is a change or that it is within the margin. None: it takes more than MOST_RUNS.
    """
    if not change.standard_error > 0:
        return None
    deviation = change.standard_error / math.sqrt(1 / change.baseline_n + 1 / change.candidate_n)
    errors = deviation * np.sqrt(2 / _RUNS)
    size = abs(change.difference)
    is_found = size / errors >= _reach(level / 2, POWER)
    # If there is no change, equivalence may fail at either end of the margin.
    is_shown = (margin_on(change.scale, margin) - size) / errors >= _reach(LEVEL, (1 + POWER) / 2)
    enough = _RUNS[is_found | is_shown]
    # Sides of unequal size show as much as this many runs of each.
    made = 2 / (1 / change.baseline_n + 1 / change.candidate_n)
    return max(int(enough[0]), int(made) + 1) if enough.size else None


@functools.lru_cache(maxsize=64)
def _reach(tail: float, power: float) -> NDArray[np.float64]:
    """How many standard errors a difference must be to be found at this level with this power, by runs a side."""
    degrees = 2.0 * _RUNS - 2
    return np.asarray(special.stdtrit(degrees, 1 - tail) + special.stdtrit(degrees, power), dtype=np.float64)
