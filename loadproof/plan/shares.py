"""Divides a number of users into whole numbers per kind and per worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def apportion(total: int, shares: Mapping[str, float]) -> dict[str, int]:
    """`total` split by shares into whole numbers that add up to it, by the largest-remainder method."""
    exact = {name: total * share for name, share in shares.items()}
    counts = {name: int(value) for name, value in exact.items()}
    left = total - sum(counts.values())
    for name in sorted(exact, key=lambda name: counts[name] - exact[name])[:left]:
        counts[name] += 1
    return counts


def allot(counts: Mapping[str, int], worker_ids: Sequence[str]) -> dict[str, dict[str, int]]:
    """Users per worker and class; worker k of W gets numbers k, k + W, k + 2 W, … of each class."""
    workers = len(worker_ids)
    return {
        worker: {name: (count - rank + workers - 1) // workers for name, count in counts.items()}
        for rank, worker in enumerate(worker_ids)
    }
