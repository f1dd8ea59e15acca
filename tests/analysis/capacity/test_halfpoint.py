"""The load at which half of the trials meet their goals."""

from __future__ import annotations

import math

import pytest

from loadproof.analysis.capacity.halfpoint import half_point


def test_without_contradiction_it_lies_in_the_middle_of_the_gap():
    """Its interval extends a little to both sides."""
    loads, kept = [900, 930, 940, 950, 960, 1040, 1050, 1060, 1070, 1100], [True] * 5 + [False] * 5
    half = half_point(loads, kept, near=10)
    assert half.value == pytest.approx(math.sqrt(960 * 1040), rel=2e-3)
    assert 900 < half.low < 960
    assert 1040 < half.high < 1100
    assert half.n == 10


def test_trials_that_contradict_each_other_widen_it():
    """Half of them at each of two loads say little."""
    clear = half_point([970] * 5 + [1030] * 5, [True] * 5 + [False] * 5, near=10)
    mixed = half_point(
        [970] * 5 + [1030] * 5, [True, True, True, False, False, True, True, False, False, False], near=10
    )
    assert mixed.low < clear.low
    assert mixed.high > clear.high


def test_fewer_trials_close_to_it_widen_it():
    """With so few, their number matters."""
    few, many = (half_point([970, 1030] * 4, [True, False] * 4, near=near) for near in (4, 40))
    assert few.low < many.low
    assert few.high > many.high


@pytest.mark.parametrize("kept", [True, False])
def test_trials_with_one_result_bound_nothing(kept):
    """Neither do no trials at all."""
    assert half_point([100, 200], [kept] * 2, near=2) is None
    assert half_point([], [], near=0) is None


def test_one_side_may_stay_open():
    """If a higher load was kept than one that was lost, nothing bounds it."""
    half = half_point([1000, 1010], [False, True], near=2)
    assert (half.low, half.high) == (0.0, math.inf)


def test_the_scale_of_loads_does_not_matter():
    """A hundredth of the loads gives a hundredth of the result."""
    kept = [True, True, False, True, False, False]
    loads = [900, 950, 980, 1000, 1020, 1100]
    one, other = half_point(loads, kept, near=6), half_point([load / 100 for load in loads], kept, near=6)
    assert one.value == pytest.approx(100 * other.value, rel=1e-9)
