"""Finds where a series, one value per run, changed its level, with a known rate of false alarms.

Neighbouring runs on one machine are correlated, so noise is modelled as AR(1): a wandering level is not a change. Each
possible change is compared with no change by their likelihoods. The correlation is averaged over instead of estimated:
60 runs hardly show it, and every change looks like correlation. How high the score of the best possible change gets by
noise alone was simulated (bench/history.py); that turns the score into a p-value.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from scipy import special

from loadproof.analysis.estimates.distributions import t_quantile
from loadproof.plan.evidence import CONFIDENCE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

FEWEST: Final = 20
"""Runs; with fewer, noise and change can't be told apart."""
FEWEST_AFTER: Final = 2
"""Runs at a new level before it counts as one; a single run is odd at most."""
USUAL_AFTER: Final = 10
"""Runs after which a better level is the usual one: losing it is then a change of its own, whatever was before."""
_LENGTHS: Final = (2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 18, 22, 27, 33, 40, 49, 60)
"""Approximate lengths, in runs, of changes that went away; the exact end is determined afterwards."""
_FALLS: Final = 1.5
"""How fast a step's share of the false alarms falls with the number of runs after it.

People care most about the latest steps, and those have the fewest runs to show them.
"""
_SHARE_OF_EXCURSIONS: Final = 0.1
_MOST_CHANGES: Final = 12
_ODD: Final = 4.0
"""How far an odd run is from both of its neighbours, in multiples of the usual difference between neighbours."""

_PHI: Final[Floats] = np.linspace(0, 0.8, 9)
"""Possible correlations of a run with the one before."""
_LOG_PRIOR: Final[Floats] = -0.5 * ((_PHI - 0.3) / 0.2) ** 2
_NOISE_REACHES: Final = ((20, 2.5), (30, 2.45), (45, 2.1), (60, 1.9), (90, 1.82), (120, 1.62), (400, 1.4))
"""By number of runs: the score that the best candidate reaches by noise in 5 % of series whose neighbours have a
correlation of 0.5; with less correlation it is reached less often."""
_TAIL: Final = 0.95
"""How fast the share of such series falls beyond it, per unit of score."""


@dataclass(frozen=True)
class LevelChange:
    """The level changed by `shift` from run `first` (counted from 0) on, and was back at run `until`."""

    first: int
    earliest: int
    latest: int
    """`first` is between these with 95 % confidence."""
    until: int | None
    """None if it lasts."""
    shift: float
    low: float
    high: float
    """`shift` is between `low` and `high` with 95 % confidence."""
    p: float
    """How often noise alone looks as much like a change, at any run of a series."""


@dataclass(frozen=True)
class ChangePoints:
    """The level changes and odd runs of a series."""

    changes: tuple[LevelChange, ...]
    odd: tuple[int, ...]
    """Single runs far from both neighbours, which were left out; the latest run may be the first of a new level."""


class _Candidates(NamedTuple):
    """Possible changes, with another level from run `first` until before run `end`; shapes (candidates,)."""

    first: NDArray[np.int64]
    end: NDArray[np.int64]
    log_weight: Floats


@cache
def candidates(n: int) -> _Candidates:
    """All changes that n runs may show, weighted by how much each may contribute to false alarms."""
    steps = [(first, n) for first in range(FEWEST_AFTER, n - FEWEST_AFTER + 1)]
    excursions = [
        (first, first + length)
        for length in _LENGTHS
        for first in range(FEWEST_AFTER, n - FEWEST_AFTER - length + 1)
        if length <= n // 2
    ]
    first, end = np.array(steps + excursions).T
    after = np.where(end == n, n - first - 1.0, np.inf)
    weight = after**-_FALLS
    weight *= (1 - _SHARE_OF_EXCURSIONS) / weight.sum()
    weight[end < n] = _SHARE_OF_EXCURSIONS / len(excursions)
    return _Candidates(first, end, np.log(weight))


def _whitened(values: Floats, phi: float) -> Floats:
    """The values, shape (…, n), with their AR(1) noise turned into independent noise."""
    white = values.copy()
    white[..., 1:] -= phi * values[..., :-1]
    white[..., 0] *= math.sqrt(1 - phi**2)
    return white


def _dots(white: Floats, phi: float, of_n: _Candidates) -> Floats:
    """Inner products of whitened values, shape (…, n), with each whitened candidate: (…, candidates).

    A whitened step is 1, then 1 − phi until its end, and −phi there.
    """
    nothing = np.zeros((*white.shape[:-1], 1))
    sums = np.concatenate([nothing, np.cumsum(white, axis=-1)], axis=-1)
    beyond = np.concatenate([white, nothing], axis=-1)
    first, end = of_n.first, of_n.end
    dots: Floats = white[..., first] + (1 - phi) * (sums[..., end] - sums[..., first + 1]) - phi * beyond[..., end]
    return dots


def _likelihoods(values: Floats, base: Floats, floor: float) -> tuple[Floats, Floats]:
    """Log-likelihoods of the base alone, (…, phi), and with each candidate, (…, phi, candidates).

    `values` has shape (…, n), `base` (n, columns); `floor` is the smallest standard deviation of a measurement. Mean
    and scale of the noise are profiled out. Source: Prais & Winsten 1954, Cowles Commission Discussion Paper 383.
    """
    n = values.shape[-1]
    of_n, freedom = candidates(n), n - base.shape[1]
    alone, beside = [], []
    for phi, log_prior in zip(_PHI.tolist(), _LOG_PRIOR.tolist(), strict=True):
        basis, upper = np.linalg.qr(_whitened(base.T, phi).T)
        white = _whitened(values, phi)
        rest = white - (white @ basis) @ basis.T
        size = _sizes(phi, of_n, n) - np.sum(_dots(basis.T, phi, of_n) ** 2, axis=0)
        squares = np.sum(rest**2, axis=-1) + n * floor**2
        # A candidate that the base already contains has nothing left to explain.
        explained = np.where(size > 1e-6, _dots(rest, phi, of_n) ** 2 / np.maximum(size, 1e-6), 0.0)
        left = np.maximum(squares[..., None] - explained, 1e-12 * squares[..., None] + 1e-300)
        scale = log_prior + 0.5 * math.log(1 - phi**2) - np.sum(np.log(np.abs(np.diag(upper))))
        alone.append(scale - freedom / 2 * np.log(squares + 1e-300))
        beside.append(scale - freedom / 2 * np.log(left))
    return np.stack(alone, axis=-1), np.stack(beside, axis=-2)


def _sizes(phi: float, of_n: _Candidates, n: int) -> Floats:
    """The inner product of each whitened candidate with itself."""
    inner = of_n.end - of_n.first - 1
    return np.asarray(1 + inner * (1 - phi) ** 2 + np.where(of_n.end < n, phi**2, 0.0), dtype=np.float64)


def scores(values: Floats, base: Floats | None = None, *, floor: float = 0.0) -> Floats:
    """How much likelier each candidate makes the values, as a weighted logarithm; (…, n) to (…, candidates)."""
    n = values.shape[-1]
    alone, beside = _likelihoods(values, np.ones((n, 1)) if base is None else base, floor)
    gained = special.logsumexp(beside, axis=-2) - special.logsumexp(alone, axis=-1)[..., None]
    return np.asarray(gained + candidates(n).log_weight, dtype=np.float64)


def p_of_score(score: float, n: int) -> float:
    """The p-value of a series: how often the best score of n runs without any change gets this high."""
    runs, reached = zip(*_NOISE_REACHES, strict=True)
    at = float(np.interp(math.log(n), np.log(runs), reached))
    return min(1.0, 0.05 * math.exp(-_TAIL * (score - at)))


def best_p(values: ArrayLike, *, floor: float = 0.0) -> float:
    """The p-value of the best of all changes in one series; 1 if there are too few runs."""
    series = np.asarray(values, dtype=np.float64)
    if series.size < FEWEST:
        return 1.0
    found = scores(series, _base(series.size, odd_runs(series, floor=floor), ()), floor=floor)
    return p_of_score(float(found.max()), series.size)


def changes_in(values: ArrayLike, *, limit: float = 0.05, floor: float = 0.0, better: int = 0) -> ChangePoints:
    """All changes of one series whose p-value is at most `limit`, in order; `better` is the sign of a good shift.

    Finds the likeliest change, then the likeliest in what remains, until that looks like noise. Then places each step
    again with all others known.
    """
    series = np.asarray(values, dtype=np.float64)
    odd = odd_runs(series, floor=floor)
    if series.size < FEWEST:
        return ChangePoints((), odd)
    of_n, base = candidates(series.size), _base(series.size, odd, ())
    bounds: dict[int, float] = {}
    for _ in range(_MOST_CHANGES):
        found = scores(series, base, floor=floor)
        best = int(found.argmax())
        p = p_of_score(float(found[best]), series.size)
        if p > limit:
            break
        ends = [int(run) for run in (of_n.first[best], of_n.end[best]) if run < series.size]
        bounds |= {run: min(p, bounds.get(run, 1.0)) for run in ends}
        base = _base(series.size, odd, bounds)
    steps = _placed(series, odd, bounds, floor)
    return ChangePoints(tuple(_told(series, odd, steps, floor, better)), odd)


def odd_runs(series: Floats, *, floor: float = 0.0) -> tuple[int, ...]:
    """Runs far above, or far below, both of their neighbours; the first and last run only have one.

    The usual difference is at least `floor`, the smallest standard deviation of a value, even if all runs are alike.
    """
    if series.size < FEWEST:
        return ()
    steps = np.diff(series)
    usual = max(float(np.median(np.abs(steps))) / special.ndtri(0.75), floor)
    before, after = np.concatenate([[np.nan], steps]), np.concatenate([-steps, [np.nan]])
    apart = np.fmin(np.abs(before), np.abs(after))
    same_side = ~(np.sign(before) * np.sign(after) < 0)
    return tuple(int(run) for run in np.flatnonzero(same_side & (apart > _ODD * usual) & (usual > 0)))


def _base(n: int, odd: Iterable[int], steps: Iterable[int]) -> Floats:
    """Columns for everything already known: the level, each odd run, each step; shape (n, columns)."""
    runs = np.arange(n)
    columns = [np.ones(n), *((runs == run).astype(float) for run in odd)]
    return np.column_stack([*columns, *((runs >= first).astype(float) for first in steps)])


class _Step(NamedTuple):
    first: int
    earliest: int
    latest: int
    p: float


def _placed(series: Floats, odd: Sequence[int], bounds: dict[int, float], floor: float) -> list[_Step]:
    """Each step at its likeliest run between its neighbours, with the 95 % interval of that run."""
    of_n, order = candidates(series.size), sorted(bounds)
    is_step = of_n.end == series.size
    steps: list[_Step] = []
    for number, bound in enumerate(order):
        before = steps[-1].first if steps else 0
        after = order[number + 1] if number + 1 < len(order) else series.size
        others = [*(step.first for step in steps), *order[number + 1 :]]
        found = scores(series, _base(series.size, odd, others), floor=floor) - of_n.log_weight
        is_between = is_step & (of_n.first > before) & (of_n.first < after)
        weight = np.exp(np.where(is_between, found, -np.inf) - found[is_between].max())
        cumulative = np.cumsum(np.bincount(of_n.first, weight)) / weight.sum()
        low, high = np.searchsorted(cumulative, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]).tolist()
        steps.append(_Step(int(of_n.first[weight.argmax()]), int(low), int(high), bounds[bound]))
    return steps


def _told(
    series: Floats, odd: Sequence[int], steps: Sequence[_Step], floor: float, better: int
) -> Iterator[LevelChange]:
    """The change that each step makes: it went away once the level is back by more than half of the step."""
    jumps = _jumps(series, odd, [step.first for step in steps], floor)
    levels = np.concatenate([[0.0], np.cumsum([shift for shift, _ in jumps])])
    returns: set[int] = set()
    for number, (step, (shift, half)) in enumerate(zip(steps, jumps, strict=True)):
        if number in returns:
            continue
        left = np.sign(shift) * (levels[number + 2 :] - levels[number])
        back = np.flatnonzero(left < abs(shift) / 2)
        until = number + 1 + int(back[0]) if back.size else None
        was_usual = until is not None and np.sign(shift) == better and steps[until].first - step.first > USUAL_AFTER
        if until is not None and left[back[0]] > -abs(shift) / 2 and not was_usual:
            # If the level is the same as before, this step only ends a change and is not another one.
            returns.add(until)
        ended = None if until is None else steps[until].first
        yield LevelChange(step.first, step.earliest, step.latest, ended, shift, shift - half, shift + half, step.p)


def _jumps(series: Floats, odd: Sequence[int], order: Sequence[int], floor: float) -> list[tuple[float, float]]:
    """The height of the step at each of these runs, with half its 95 % interval; all are estimated together.

    They are averaged over possible correlations of neighbours, weighted by likelihood.
    """
    design = _base(series.size, odd, order)
    freedom = series.size - design.shape[1]
    means, variances, weights = [], [], []
    for phi, log_prior in zip(_PHI.tolist(), _LOG_PRIOR.tolist(), strict=True):
        white = _whitened(design.T, phi).T
        inverse = np.linalg.pinv(white.T @ white)
        target = _whitened(series, phi)
        fitted = inverse @ white.T @ target
        squares = float(np.sum((target - white @ fitted) ** 2)) + series.size * floor**2 + 1e-300
        means.append(fitted)
        variances.append(squares / freedom * np.diag(inverse))
        determinant = np.linalg.slogdet(white.T @ white)[1]
        weights.append(log_prior + 0.5 * (math.log(1 - phi**2) - determinant) - freedom / 2 * math.log(squares))
    weight = special.softmax(weights)
    mean = weight @ np.array(means)
    variance = weight @ (np.array(variances) + (np.array(means) - mean) ** 2)
    half = t_quantile((1 + CONFIDENCE) / 2, freedom) * np.sqrt(variance)
    return list(zip(mean[-len(order) :].tolist(), half[-len(order) :].tolist(), strict=True)) if order else []
