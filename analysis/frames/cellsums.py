"""Cells of intervals to sums of their counts, block by block: of a day's tens of millions pandas would copy most."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from loadproof.histogram import BUCKETS

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BLOCK_ROWS: Final = 500_000


def blocks(rows: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """All rows, in their order; at least one block."""
    for begin in range(0, max(len(rows), 1), _BLOCK_ROWS):
        yield rows[begin : begin + _BLOCK_ROWS]


def sums_by(rows: pd.DataFrame, *columns: str) -> pd.Series:
    """The sum of the counts for each combination of these columns' values that occurs; they are its index."""
    parts = [block.groupby(list(columns), observed=True)["count"].sum() for block in blocks(rows)]
    if len(parts) == 1:
        return parts[0]
    sums: pd.Series = pd.concat(parts).groupby(level=list(range(len(columns))), observed=True).sum()
    return sums


def histogram(rows: pd.DataFrame, series: str, outcome: str | None = None) -> NDArray[np.int64]:
    """Counts by bucket of this series, of this outcome or of all, shape (BUCKETS,)."""
    counted = np.zeros(BUCKETS)
    for block in blocks(rows):
        chosen = block["series"] == series
        if outcome is not None:
            chosen &= block["outcome"] == outcome
        counted += np.bincount(block["bucket"][chosen], weights=block["count"][chosen], minlength=BUCKETS)
    return counted.astype(np.int64)
