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


def t_tail(value: float, freedom: float) -> float:
    """The probability of more than this value of Student's t with this many degrees of freedom."""
    return float(special.stdtr(freedom, -value))


def binomial_quantile(
    probability: float | NDArray[np.float64], trials: ArrayLike, success: float | NDArray[np.float64]
) -> NDArray[np.float64]:
    """The fewest successes in this many trials whose cumulative probability reaches `probability`."""
    trials = np.asarray(trials, dtype=np.int64)
    # SciPy returns nan for what never succeeds.
    near = np.ceil(np.nan_to_num(special.bdtrik(probability, trials, success)))
    # It is inexact: what should be a whole number may come out slightly above it, or below.
    below, above = np.maximum(near - 1, 0), near + 1
    reaches, exceeds = (_cumulated(count, trials, success) >= probability for count in (near, below))
    quantile: NDArray[np.float64] = np.where(exceeds, below, np.where(reaches, near, above))
    return quantile


def _cumulated(
    successes: NDArray[np.float64], trials: NDArray[np.int64], success: float | NDArray[np.float64]
) -> NDArray[np.float64]:
    """The probability of at most so many successes; of millions of trials `special.bdtr` has four digits only."""
    failures = trials - successes
    inside = special.betainc(np.maximum(failures, 1), successes + 1, 1 - np.asarray(success))
    return np.where(failures > 0, inside, 1.0).astype(np.float64)


def binomial_bound(successes: int, trials: int, confidence: float) -> float:
    """The highest probability of success that so few successes leave possible. Source: Clopper & Pearson 1934."""
    return float(special.betaincinv(successes + 1, trials - successes, confidence)) if successes < trials else 1.0


def binomial_tail(successes: int, trials: int, success: float) -> float:
    """The probability of at least this many successes."""
    return float(special.betainc(successes, trials - successes + 1, success)) if successes > 0 else 1.0
