"""The log-linear histogram."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadproof.histogram import BUCKETS, LOWER_US, MAX_US, MIDPOINT_US, UPPER_US, bucket_of, value_at_rank

time_us = st.integers(0, MAX_US)


@given(time_us)
def test_each_time_lies_in_its_bucket(value):
    """The bounds of the bucket enclose it, and the midpoint is at most 0.39 % off."""
    bucket = bucket_of(value)
    assert LOWER_US[bucket] <= value <= UPPER_US[bucket]
    assert abs(MIDPOINT_US[bucket] - value) <= value / 256


@given(time_us, time_us)
def test_buckets_keep_the_order(one, other):
    """A longer time is never in an earlier bucket."""
    assert (bucket_of(one) <= bucket_of(other)) or one > other


def test_buckets_tile_the_axis():
    """No gap, no overlap, exact below 256 µs."""
    assert (LOWER_US[1:] == UPPER_US[:-1] + 1).all()
    assert (LOWER_US[:256] == UPPER_US[:256]).all()
    assert len(LOWER_US) == BUCKETS


@pytest.mark.parametrize("value", [-5, MAX_US + 1, 10**12])
def test_times_out_of_range_are_clamped_not_lost(value):
    """They count in the first or the last bucket that is used."""
    assert bucket_of(value) in {0, bucket_of(MAX_US)}


@given(st.lists(time_us, min_size=1, max_size=200), st.data())
def test_the_value_at_a_rank_agrees_with_the_sorted_values(values, data):
    """Within the bucket's width."""
    rank = data.draw(st.integers(1, len(values)))
    counts = np.bincount([bucket_of(value) for value in values], minlength=BUCKETS)
    wanted = sorted(values)[rank - 1]
    assert value_at_rank(counts, rank) == pytest.approx(wanted, rel=0.004, abs=0.5)


def test_a_rank_out_of_range_is_refused():
    """Rank 0, or one beyond the last."""
    counts = np.bincount([3], minlength=BUCKETS)
    for rank in (0, 2):
        with pytest.raises(ValueError, match="rank"):
            value_at_rank(counts, rank)
