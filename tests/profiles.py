"""How many simulations a test run makes: all in `make check-all`, a quarter and few examples in `make test`.

Bounds of a statistical claim are computed from the number of simulations made, never hard-coded for one number.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import numpy as np
from hypothesis import HealthCheck, settings
from scipy import special

from loadproof.analysis.estimates.distributions import binomial_quantile, t_quantile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

IS_FULL: Final = os.environ.get("LOADPROOF_SIMULATIONS") == "all"
_FALSE_ALARM: Final = 0.01
"""How often a bound on a simulated count is broken by chance, over all seeds. Each test has one seed: no flakiness."""

settings.register_profile("few", max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("all", max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("all" if IS_FULL else "few")
costly: Final = settings(max_examples=400 if IS_FULL else 10)
"""For properties whose examples take 50 ms or more each: fewer of them in `make test`."""


def simulations(full: int) -> int:
    """How many simulations to make if `make check-all` makes `full` of them."""
    return full if IS_FULL else -(-full // 4)


def most_by_chance(times: int, ratio: float) -> int:
    """The most successes in `times` trials that chance explains if their probability is at most `ratio`."""
    return int(binomial_quantile(1 - _FALSE_ALARM, times, ratio))


def mean_by_chance(values: Sequence[float] | NDArray[np.float64]) -> tuple[float, float]:
    """Bounds between which the true mean of simulated values may be, allowing for chance."""
    mean, error = float(np.mean(values)), float(np.std(values, ddof=1)) / len(values) ** 0.5
    half = t_quantile(1 - _FALSE_ALARM, len(values) - 1) * error
    return mean - half, mean + half


def wider_by_chance(times: int) -> float:
    """The factor by which intervals may look too wide, because `times` estimates may show too small a spread."""
    return float(np.sqrt((times - 1) / special.chdtri(times - 1, 1 - _FALSE_ALARM)))


def fewest_by_chance(times: int, ratio: float) -> int:
    """The fewest successes in `times` trials that chance explains if their probability is at least `ratio`."""
    return int(binomial_quantile(_FALSE_ALARM, times, ratio))
