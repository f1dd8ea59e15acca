"""Comparisons of releases with a known difference: how often each verdict word comes out."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

import numpy as np

from loadproof.analysis.compare.comparison import compare
from loadproof.analysis.compare.replicates import Row
from loadproof.analysis.compare.statistics.welch import change
from simulation.releases import PHASE, Noise, release
from simulation.traffic import Times, autocorrelated

if TYPE_CHECKING:
    from collections.abc import Mapping

    from loadproof.analysis.compare.comparedrow import ChangeWord

NAMED: Final = Row("balance", PHASE, "p(95)")
"""A row that a threshold of the plan names."""
_SECONDS: Final = 30
_RPS: Final = 50


def p95_of_runs(random: np.random.Generator, runs: int, noise: Noise) -> Times:
    """The p(95) in seconds of each of these runs, 30 s at 50 requests per second; shape (runs,)."""
    levels = [0.1 * autocorrelated(random, _SECONDS, phi=noise.phi) for _ in range(runs)]
    run = random.normal(0, noise.between, (runs, 1))
    second = np.repeat(np.array(levels), _RPS, axis=1)
    times: Times = 0.02 * np.exp(run + second + random.normal(0, 0.4, second.shape))
    return np.quantile(times, 0.95, axis=1)


def alarms_of_welch(times: int, *, runs: int, noise: Noise, seed: int = 1) -> int:
    """How many of `times` comparisons of a release with itself have p < 5 %, with `runs` runs per side."""
    random = np.random.default_rng(seed)
    return sum(
        change(p95_of_runs(random, runs, noise), p95_of_runs(random, runs, noise)).p < 0.05 for _ in range(times)
    )


def words_of(
    times: int,
    *,
    runs: int,
    noise: Noise,
    slower: Mapping[str, float] | float = 0.0,
    alternately: bool = True,
    seed: int = 1,
) -> tuple[Counter[ChangeWord], Counter[ChangeWord | None]]:
    """Words of `times` comparisons with `runs` runs per side: of the whole comparison, and of the row NAMED."""
    random = np.random.default_rng(seed)
    whole: Counter[ChangeWord] = Counter()
    named: Counter[ChangeWord | None] = Counter()
    for _ in range(times):
        step, first = (2, 1) if alternately else (1, runs)
        baseline = release(random, runs, noise=noise, step=step)
        candidate = release(random, runs, noise=noise, slower=slower, first=first, step=step)
        found = compare(baseline, candidate)
        whole[found.word] += 1
        named[next(row.word for row in found.rows if row.row == NAMED)] += 1
    return whole, named
