"""Determines how small p-values must be at each of several looks, so that all looks and rows share one error rate.

Looking at a comparison again and again, and stopping when p < 0.05, doubles or triples the false alarms. Here each look
may only spend part of the error rate, by Lan and DeMets's function with O'Brien and Fleming's shape: early looks only
find what is obvious, and the last one has almost all of the rate. Rows share the rate by Holm's procedure.

Source: Lan and DeMets 1983 (doi:10.1093/biomet/70.3.659), O'Brien and Fleming 1979 (doi:10.2307/2530245); several rows:
Ye, Li, Liu and Yao 2013 (doi:10.1002/sim.5700).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np
from scipy import special
from scipy.optimize import brentq

from loadproof.analysis.compare.statistics.equivalence import LEVEL

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(201)
_FARTHEST: Final = 38.0
"""In standard deviations: beyond, a normal distribution's tail is too small for a float."""
Key = TypeVar("Key", bound=Hashable)


def spent(share: float, alpha: float) -> float:
    """How much of a two-sided error rate is spent once this share (0–1) of all runs has been seen."""
    return float(2 * special.ndtr(special.ndtri(alpha / 2) / np.sqrt(share)))


@lru_cache(maxsize=256)
def nominal_levels(runs: tuple[int, ...], alpha: float) -> tuple[float, ...]:
    """The two-sided p at or below which each look detects a change; `runs` are the runs a side, in rising order.

    Without a change, the evidence at the looks is a Brownian motion observed at these times. Its density inside the
    bounds of all earlier looks is integrated numerically.
    Source: Armitage, McPherson and Rowe 1969 (doi:10.2307/2343787).
    """
    places, mass, before, spent_before = np.zeros(1), np.ones(1), 0.0, 0.0
    levels = []
    for share in (count / runs[-1] for count in runs):
        step, spent_now = np.sqrt(share - before), spent(share, alpha)
        bound = _bound(places / step, mass, spent_now - spent_before) * step
        levels.append(float(2 * special.ndtr(-bound / np.sqrt(share))))
        inside = bound * _NODES
        density = np.exp(-(((inside - places[:, None]) / step) ** 2) / 2) / (step * np.sqrt(2 * np.pi))
        places, mass, before, spent_before = inside, (mass @ density) * bound * _WEIGHTS, share, spent_now
    return tuple(levels)


def _bound(places: NDArray[np.float64], mass: NDArray[np.float64], probability: float) -> float:
    """The bound beyond which a normal step of size 1 from these places ends with this probability."""

    def excess(bound: float) -> float:
        beyond = special.ndtr(-bound - places) + special.ndtr(places - bound)
        return float(mass @ beyond) - probability

    return float(brentq(excess, 0.0, _FARTHEST + float(np.abs(places).max())))


def changed(p_values: Sequence[Mapping[Key, float]], runs: tuple[int, ...], alpha: float) -> set[Key]:
    """Rows found to have changed by the last of these looks, each of which has a two-sided p for every row of a family.

    A row that was found to have changed passes its share of the error rate on to the others.
    """
    rows: set[Key] = set()
    for look, by_row in enumerate(p_values):
        while left := by_row.keys() - rows:
            level = nominal_levels(runs, alpha / len(left))[look]
            newly = {row for row in left if by_row[row] <= level}
            if not newly:
                break
            rows |= newly
    return rows


def equivalence_level(runs: tuple[int, ...], look: int, alpha: float = LEVEL) -> float:
    """The one-sided p at or below which a row is equivalent at this look (from 0).

    Rows don't share it, because all of them have to be equivalent before a release is called equivalent.
    """
    return nominal_levels(runs, 2 * alpha)[look] / 2
