"""Estimates how far another clock is ahead, from messages both ways."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadproof.recording.skew import Skew

WAYS = st.lists(st.floats(0.0001, 0.5), min_size=1, max_size=20)


@given(st.floats(-10, 10), WAYS, WAYS)
def test_the_estimate_never_exceeds_the_truth(ahead_s, ways_out_s, ways_back_s):
    """Whatever the transit times; and it falls short by no more than the shortest round trip."""
    skew = Skew()
    for way_s in ways_out_s:
        skew.out(way_s + ahead_s)
    for way_s in ways_back_s:
        skew.back(way_s - ahead_s)
    assert abs(skew.ahead_s) <= abs(ahead_s) + 1e-9
    assert skew.ahead_s * ahead_s >= 0
    assert abs(skew.ahead_s - ahead_s) <= min(ways_out_s) + min(ways_back_s) + 1e-9


def test_one_direction_alone_shows_nothing():
    """A long transit looks like a clock that is ahead."""
    skew = Skew()
    skew.out(5.0)
    assert skew.ahead_s == 0
    skew.back(-4.9)
    assert skew.ahead_s == pytest.approx(4.9)
