"""Log-linear histograms of times in whole microseconds, 1 µs to 60 s, with a bucket error of at most 0.39 %.

The layout is HdrHistogram's for (1, 60_000_000, 2 significant digits): exact below 256 µs, then 128
buckets per octave. Merging is addition, so seconds, workers and phases add up in any order.
Source: https://hdrhistogram.github.io/HdrHistogram/ (bucket and sub-bucket layout).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BUCKETS = 2560
MAX_US = 60_000_000
_LINEAR = 256


def bucket_of(value_us: int) -> int:
    """The bucket of a time; out-of-range times are clamped to the first or last one, never lost."""
    if value_us < _LINEAR:
        return max(value_us, 0)
    value_us = min(value_us, MAX_US)
    exponent = value_us.bit_length() - 8
    return (exponent << 7) + (value_us >> exponent)


def buckets_of(times_s: NDArray[np.float64]) -> NDArray[np.int64]:
    """The buckets of many times in seconds, rounded to whole microseconds; shape as given."""
    us = np.clip(np.rint(times_s * 1e6), 0, MAX_US).astype(np.int64)
    exponent = np.maximum(np.frexp(us)[1] - 8, 0)
    buckets: NDArray[np.int64] = (exponent.astype(np.int64) << 7) + (us >> exponent)
    return buckets


def _lower_bounds_us() -> NDArray[np.int64]:
    bucket = np.arange(BUCKETS + 1, dtype=np.int64)
    exponent = np.where(bucket < _LINEAR, 0, (bucket >> 7) - 1)
    return np.where(bucket < _LINEAR, bucket, (bucket - (exponent << 7)) << exponent)


_BOUNDS_US = _lower_bounds_us()
LOWER_US: NDArray[np.int64] = _BOUNDS_US[:-1]
"""Shape (BUCKETS,): the smallest time of each bucket."""
UPPER_US: NDArray[np.int64] = _BOUNDS_US[1:] - 1
"""Shape (BUCKETS,): the largest time in whole microseconds of each bucket."""
MIDPOINT_US: NDArray[np.float64] = (LOWER_US + UPPER_US) / 2
"""Shape (BUCKETS,): the value that represents all times in a bucket."""


def value_at_rank(counts: NDArray[np.int64], rank: int) -> float:
    """The midpoint in µs of the bucket that holds the `rank`-th smallest value, counting from 1.

    `counts` has shape (BUCKETS,). ValueError if there is no such rank.
    """
    cumulative = np.cumsum(counts)
    if not 1 <= rank <= cumulative[-1]:
        raise ValueError(f"rank {rank} of {cumulative[-1]} values")
    return float(MIDPOINT_US[int(np.searchsorted(cumulative, rank))])
