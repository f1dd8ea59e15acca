"""Sums the counts of interval cells block by block: pandas would copy most of the tens of millions that a day has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Final, cast

import numpy as np
import pandas as pd

from loadproof.histogram import BUCKETS

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BLOCK_ROWS: Final = 500_000
_NONE: Final = np.zeros(0, dtype=np.int64)


def blocks(rows: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """The rows in order, in blocks; at least one block."""
    if len(rows) <= _BLOCK_ROWS:
        # Slicing everything would cost as much as counting a short run's rows.
        yield rows
        return
    for begin in range(0, max(len(rows), 1), _BLOCK_ROWS):
        yield rows[begin : begin + _BLOCK_ROWS]


def coded(column: pd.Series) -> tuple[NDArray[np.integer], pd.Index]:
    """Each row's index into the column's distinct values, -1 for a missing one; and those values."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        values = cast("pd.Categorical", column.array)
        return values.codes, values.categories
    codes, known = pd.factorize(column)
    return codes, pd.Index(known)


def among(column: pd.Series, values: Collection[str]) -> NDArray[np.bool_]:
    """Which rows have one of these values, shape (rows,); like `isin`, but much faster for short runs."""
    (codes, known), wanted = coded(column), set(map(str, values))
    # Rows without a value have code -1: the last entry.
    chosen: NDArray[np.bool_] = np.array([*(value in wanted for value in known), False])[codes]
    return chosen


def counts_by(rows: pd.DataFrame, first: str, second: str) -> dict[tuple[str, str], int]:
    """The sum of the counts for each pair of these columns' values that occurs."""
    sums: dict[tuple[str, str], int] = {}
    for block in blocks(rows):
        (outer, outers), (inner, inners) = coded(block[first]), coded(block[second])
        keys = outer.astype(np.int64) * len(inners) + inner
        counted = np.bincount(keys, weights=block["count"].to_numpy(dtype=np.int64))
        for key in np.flatnonzero(counted).tolist():
            pair = outers[key // len(inners)], inners[key % len(inners)]
            sums[pair] = sums.get(pair, 0) + int(counted[key])
    return sums


def series_counts(rows: pd.DataFrame) -> dict[str, int]:
    """The sum of the counts of each series that occurs."""
    sums: Counter[str] = Counter()
    for block in blocks(rows):
        codes, known = coded(block["series"])
        counted = np.bincount(codes, weights=block["count"].to_numpy(dtype=np.int64))
        sums.update({known[code]: int(counted[code]) for code in np.flatnonzero(counted).tolist()})
    return dict(sums)


def by_second(rows: pd.DataFrame, column: str, seconds: int) -> pd.DataFrame:
    """The sum of the counts for each of the column's values in each second; index: all seconds before `seconds`."""
    tables = []
    for block in blocks(rows):
        codes, known = coded(block[column])
        at = block["second"].to_numpy(dtype=np.int64)
        inside = at < seconds
        keys, counts = at * len(known) + codes, block["count"].to_numpy(dtype=np.int64)
        sums = np.bincount(keys[inside], weights=counts[inside], minlength=seconds * len(known))
        tables.append(pd.DataFrame(sums.reshape(seconds, len(known)).astype(np.int64), columns=list(known)))
    return tables[0] if len(tables) == 1 else pd.concat(tables).groupby(level=0).sum()


def sums_by(rows: pd.DataFrame, *columns: str) -> pd.Series:
    """The sum of the counts for each combination of these columns' values that occurs.

    The combinations are the index.
    """
    parts = [block.groupby(list(columns), observed=True)["count"].sum() for block in blocks(rows)]
    if len(parts) == 1:
        return parts[0]
    sums: pd.Series = pd.concat(parts).groupby(level=list(range(len(columns))), observed=True).sum()
    return sums


class KeyedSums:
    """Sums of counts by integer key, added block by block; memory grows with the number of distinct keys."""

    def __init__(self) -> None:
        self._keys, self._sums = [_NONE], [_NONE]
        """The first part is the result of the last merge."""

    def add(self, keys: NDArray[np.int64], counts: NDArray[np.int64]) -> None:
        self._keys.append(keys)
        self._sums.append(counts)
        self._merge(1)
        # Merging touches everything kept so far, so wait until as much again has arrived.
        if sum(map(len, self._keys[1:])) > max(len(self._keys[0]), _BLOCK_ROWS):
            self._merge(len(self._keys))

    def within(self, place: int, width: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The keys from `place * width` to the next multiple, relative to it and sorted; and their sums."""
        if len(self._keys) > 1:
            self._merge(len(self._keys))
        first, last = np.searchsorted(self._keys[0], (place * width, (place + 1) * width))
        return self._keys[0][first:last] - place * width, self._sums[0][first:last]

    def _merge(self, parts: int) -> None:
        """Merge the last parts into one."""
        keys, sums = np.concatenate(self._keys[-parts:]), np.concatenate(self._sums[-parts:])
        order = np.argsort(keys)
        keys, sums = keys[order], sums[order]
        first = np.flatnonzero(np.diff(keys, prepend=-1))
        self._keys[-parts:] = [keys[first]]
        self._sums[-parts:] = [np.add.reduceat(sums, first) if first.size else sums]


def histogram(rows: pd.DataFrame, series: str, outcome: str | None = None) -> NDArray[np.int64]:
    """Counts by bucket for this series, of one outcome or all; shape (BUCKETS,)."""
    counted = np.zeros(BUCKETS)
    for block in blocks(rows):
        chosen = among(block["series"], (series,))
        if outcome is not None:
            chosen &= among(block["outcome"], (outcome,))
        buckets, counts = block["bucket"].to_numpy(dtype=np.int64), block["count"].to_numpy(dtype=np.int64)
        counted += np.bincount(buckets[chosen], weights=counts[chosen], minlength=BUCKETS)
    return counted.astype(np.int64)
