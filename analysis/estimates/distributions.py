"""Quantiles of the normal, Student's t and binomial distributions.

They use `scipy.special`, because importing `scipy.stats` takes three times as long.
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
    """A quantile of Student's t with this many degrees of freedom, not necessarily an integer."""
    return float(special.stdtrit(freedom, probability))


def t_tail(value: float, freedom: float) -> float:
    """The probability that Student's t with this many degrees of freedom exceeds this value."""
    return float(special.stdtr(freedom, -value))


def binomial_quantile(
    probability: float | NDArray[np.float64], trials: ArrayLike, success: float | NDArray[np.float64]
) -> NDArray[np.float64]:
    """The smallest number of successes in this many trials whose cumulative probability reaches `probability`."""
    trials = np.asarray(trials, dtype=np.int64)
    # SciPy returns nan for a success probability of 0.
    near = np.ceil(np.nan_to_num(special.bdtrik(probability, trials, success)))
    # It is inexact: a result that should be whole may come out slightly above or below.
    below, above = np.maximum(near - 1, 0), near + 1
    reaches, exceeds = (_cumulated(count, trials, success) >= probability for count in (near, below))
    quantile: NDArray[np.float64] = np.where(exceeds, below, np.where(reaches, near, above))
    return quantile


def _cumulated(
    successes: NDArray[np.float64], trials: NDArray[np.int64], success: float | NDArray[np.float64]
) -> NDArray[np.float64]:
    """The probability of at most this many successes; for millions of trials `special.bdtr` has only four digits."""
    failures = trials - successes
    inside = special.betainc(np.maximum(failures, 1), successes + 1, 1 - np.asarray(success))
    return np.where(failures > 0, inside, 1.0).astype(np.float64)


def binomial_bound(successes: int, trials: int, confidence: float) -> float:
    """The upper confidence bound of the probability of success.

    Source: Clopper & Pearson 1934, doi:10.1093/biomet/26.4.404.
    """
    return float(special.betaincinv(successes + 1, trials - successes, confidence)) if successes < trials else 1.0


def binomial_tail(successes: int, trials: int, success: float) -> float:
    """The probability of at least this many successes."""
    return float(special.betainc(successes, trials - successes + 1, success)) if successes > 0 else 1.0
