"""Divides numbers of users and arrivals into whole numbers per kind and per worker."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


def apportion(total: int, shares: Mapping[str, float]) -> dict[str, int]:
    """`total` split by shares into whole numbers that add up to it, by the largest-remainder method."""
    return _whole(total, {name: total * share for name, share in shares.items()})


def apportion_in_turn(totals: Iterable[int], shares: Mapping[str, float]) -> list[dict[str, int]]:
    """Each total split by shares; what rounding withheld from a name is added to its share of the next total.

    A name whose share is below one in each total therefore still gets its share of their sum.
    """
    split, owed = [], dict.fromkeys(shares, 0.0)
    for total in totals:
        exact = {name: owed[name] + total * share for name, share in shares.items()}
        counts = _whole(total, exact)
        owed = {name: exact[name] - counts[name] for name in shares}
        split.append(counts)
    return split


def _whole(total: int, exact: Mapping[str, float]) -> dict[str, int]:
    """Whole numbers that add up to `total`, near these, none below 0."""
    counts = {name: max(math.floor(value), 0) for name, value in exact.items()}
    while counts and (left := total - sum(counts.values())) != 0:
        step = 1 if left > 0 else -1
        may_change = [name for name in counts if counts[name] + step >= 0]
        name = max(may_change, key=lambda name: step * (exact[name] - counts[name]))
        counts[name] += step
    return counts


def allot(counts: Mapping[str, int], worker_ids: Sequence[str]) -> dict[str, dict[str, int]]:
    """Users per worker and class; worker k of W gets numbers k, k + W, k + 2 W, … of each class."""
    workers = len(worker_ids)
    return {
        worker: {name: (count - rank + workers - 1) // workers for name, count in counts.items()}
        for rank, worker in enumerate(worker_ids)
    }
