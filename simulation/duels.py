"""Duels whose truth is known: logarithms of the results of whole runs, in blocks of two runs of each side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from loadproof.analysis.compare.statistics.welch import Change
from loadproof.plan.interleaving import PER_BLOCK

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Truth:
    """The distribution that duels are drawn from."""

    rows: int = 6
    """Rows in the family of comparisons."""
    noise: float = 0.03
    """Standard deviation from run to run, as a fraction."""
    correlation: float = 0.5
    """Correlation between the rows of one run: a run that is slow in one is slow in others."""
    block_noise: float = 0.05
    """Standard deviation that all runs of a block share: a machine may be faster at night."""
    slower: float = 0.0
    """How much slower the candidate is in every row, as a fraction."""


def duels(random: np.random.Generator, truth: Truth, *, times: int, pairs: int) -> NDArray[np.float64]:
    """Log values of this many duels, shape (times, rows, 2 sides, pairs); a block is two pairs."""
    shape = (times, truth.rows, 2, pairs)
    own = random.normal(size=shape) * np.sqrt(1 - truth.correlation)
    shared = random.normal(size=(times, 1, 2, pairs)) * np.sqrt(truth.correlation)
    blocks = np.repeat(random.normal(size=(times, 1, 1, pairs // PER_BLOCK)), PER_BLOCK, axis=3)
    values: NDArray[np.float64] = truth.noise * (own + shared) + truth.block_noise * blocks
    values[:, :, 1] += np.log1p(truth.slower)
    return values


def changes_in(values: NDArray[np.float64]) -> list[list[Change]]:
    """The change of each row, per duel: like `change` with blocks, but computed for all duels at once."""
    times, rows, _, pairs = values.shape
    blocks = values.reshape(times, rows, 2, pairs // PER_BLOCK, PER_BLOCK)
    sides = blocks.mean(axis=(3, 4))
    middle = sides[..., 1] - sides[..., 0]
    of_block = blocks.mean(axis=(2, 4), keepdims=True)
    effect = np.stack([-middle / 2, middle / 2], axis=2)[..., None, None]
    degrees = 2 * pairs - pairs // PER_BLOCK - 1
    variance = ((blocks - of_block - effect) ** 2).sum(axis=(2, 3, 4)) / degrees
    error = np.sqrt(variance * 2 / pairs)
    p = 2 * special.stdtr(degrees, -np.abs(middle) / error)
    half = special.stdtrit(degrees, 0.975) * error
    columns = (np.expm1(end) for end in (middle, middle - half, middle + half))
    figures = np.stack([*columns, p, error], axis=-1)
    return [
        [Change(ratio, low, high, p, pairs, pairs, error, degrees) for ratio, low, high, p, error in duel]
        for duel in figures.tolist()
    ]
