"""Turns both sides' response times into a shift function: how much each quantile changed, from fast to slow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from loadproof.analysis.compare.comparedrow import ENOUGH_RUNS, ChangeWord
from loadproof.analysis.compare.replicates import ALL_ENDPOINTS
from loadproof.analysis.estimates.distributions import normal_quantile, t_quantile
from loadproof.histogram import MIDPOINT_US
from loadproof.plan.evidence import CONFIDENCE, SAMPLES_BEYOND_QUANTILE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from loadproof.analysis.compare.comparison import Comparison
    from loadproof.analysis.compare.replicates import Replicate

    Times = NDArray[np.float64]

_QUANTILES: Final = np.array([*np.arange(1, 20) / 20, 0.975, 0.99])
_MOST_SHIFTS: Final = 12
_RESAMPLES: Final = 2000
_SEED: Final = 2026
"""Fixed, so that the same runs give the same picture."""


@dataclass(frozen=True)
class Shift:
    """The shift function of one endpoint and phase; all arrays have the shape (quantiles,)."""

    endpoint: str
    phase: str
    quantiles: Times
    """Quantiles (0-1) with enough answers beyond them."""
    ratio: Times
    """Candidate / baseline - 1."""
    low: Times
    high: Times
    """The ends of each quantile's 95 % interval."""


def shift_of(
    baseline: Sequence[Replicate], candidate: Sequence[Replicate], *, endpoint: str, phase: str
) -> Shift | None:
    """The shift function of one endpoint and phase; None if too few runs have `ok` answers there.

    Runs are resampled, because they are the replicates. Resamples of so few vary too little, so their spread is widened
    by the ratio of Student's t to the normal distribution.
    Source: Doksum 1974, doi:10.1214/aos/1176342662 (shift function); Davison and Hinkley 1997,
    doi:10.1017/CBO9780511802843 (bootstrap of two samples).
    """
    sides = [
        [counts for run in runs if (counts := run.histograms.get((endpoint, phase))) is not None and counts.any()]
        for runs in (baseline, candidate)
    ]
    if min(map(len, sides)) < ENOUGH_RUNS:
        return None
    answers = float(np.median([counts.sum() for counts in (*sides[0], *sides[1])]))
    rarer = np.minimum(_QUANTILES, 1 - _QUANTILES)
    quantiles = _QUANTILES[np.round(rarer * answers, 6) >= SAMPLES_BEYOND_QUANTILE]
    was, now = (np.array([_log_quantiles(counts, quantiles) for counts in side]) for side in sides)
    middle = now.mean(axis=0) - was.mean(axis=0)
    random = np.random.default_rng(_SEED)
    noise = _resampled(now, random) - _resampled(was, random)
    tail = (1 - CONFIDENCE) / 2
    degrees = len(was) + len(now) - 2
    wider = t_quantile(1 - tail, degrees) / normal_quantile(1 - tail)
    low, high = np.quantile(noise, [tail, 1 - tail], axis=0) * wider if quantiles.size else (middle, middle)
    return Shift(endpoint, phase, quantiles, np.expm1(middle), np.expm1(middle + low), np.expm1(middle + high))


def _log_quantiles(counts: NDArray[np.int64], quantiles: Times) -> Times:
    """Logarithms of the quantiles in s."""
    ranks = np.maximum(np.ceil(quantiles * counts.sum()), 1)
    times: Times = np.log(np.maximum(MIDPOINT_US[np.searchsorted(np.cumsum(counts), ranks)], 1.0) * 1e-6)
    return times


def _resampled(logs: Times, random: np.random.Generator) -> Times:
    """Means of resampled runs, relative to their overall mean; shape (resamples, quantiles)."""
    n = len(logs)
    residuals = (logs - logs.mean(axis=0)) * np.sqrt(n / (n - 1))
    means: Times = residuals[random.integers(0, n, (_RESAMPLES, n))].mean(axis=1)
    return means


def shifts_of(comparison: Comparison) -> list[Shift]:
    """Shifts of each measured phase for all endpoints together, then of places where a quantile certainly changed."""
    changed = {ChangeWord.REGRESSED, ChangeWord.IMPROVED}
    places = [
        (row.row.endpoint, row.row.phase)
        for row in sorted(comparison.rows, key=lambda row: row.row.endpoint != ALL_ENDPOINTS)
        if row.metric.quantile is not None and (row.row.endpoint == ALL_ENDPOINTS or row.word in changed)
    ]
    if not places:
        places = [(row.row.endpoint, row.row.phase) for row in comparison.rows]
    sides = comparison.baseline, comparison.candidate
    found = (shift_of(*sides, endpoint=endpoint, phase=phase) for endpoint, phase in dict.fromkeys(places))
    return [shift for shift in found if shift is not None and shift.quantiles.size][:_MOST_SHIFTS]
