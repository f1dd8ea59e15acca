"""Quantiles of the normal, Student's t and binomial distributions.

`scipy.special` has them too, and loads in a third of the second that `scipy.stats` takes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import special

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def normal_quantile(probability: float) -> float:
    """A quantile of the normal distribution with mean 0 and standard deviation 1."""
    return float(special.ndtri(probability))


def t_quantile(probability: float, freedom: float) -> float:
    """A quantile of Student's t with this many degrees of freedom, which need not be whole."""
    return float(special.stdtrit(freedom, probability))


def binomial_quantile(
    probability: float | NDArray[np.float64], trials: ArrayLike, success: float | NDArray[np.float64]
) -> NDArray[np.float64]:
    """The fewest successes in this many trials whose cumulative probability reaches `probability`."""
    trials = np.asarray(trials, dtype=np.int64)
    # SciPy returns nan for what never succeeds.
    above = np.ceil(np.nan_to_num(special.bdtrik(probability, trials, success)))
    below = np.maximum(above - 1, 0)
    # What should be a whole number may come out slightly above it.
    quantile: NDArray[np.float64] = np.where(special.bdtr(below, trials, success) >= probability, below, above)
    return quantile


def binomial_tail(successes: int, trials: int, success: float) -> float:
    """The probability of at least this many successes."""
    return float(special.bdtrc(successes - 1, trials, success)) if successes > 0 else 1.0
