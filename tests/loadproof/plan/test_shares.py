"""Users to workers: a user's identity doesn't depend on how many workers there are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadproof.plan.shares import allot, apportion, apportion_in_turn


@pytest.mark.parametrize(
    ("total", "shares", "counts"),
    [
        # 1.1, 2.8 and 6.1.
        (10, {"few": 0.11, "some": 0.28, "large": 0.61}, {"few": 1, "some": 3, "large": 6}),
        # 7.2, 1.9 and 0.9.
        (10, {"large": 0.72, "some": 0.19, "few": 0.09}, {"large": 7, "some": 2, "few": 1}),
        (10, {"half": 0.5, "tenth": 0.1, "rest": 0.4}, {"half": 5, "tenth": 1, "rest": 4}),
        (1, {"first": 0.5, "second": 0.5}, {"first": 1, "second": 0}),
        (0, {"all": 1.0}, {"all": 0}),
    ],
)
def test_left_over_users_go_to_the_largest_remainders(total, shares, counts):
    """Not to the largest shares or to the smallest; among equal remainders, to the first named."""
    assert apportion(total, shares) == counts


@given(st.integers(0, 10_000), st.lists(st.integers(1, 100), min_size=1, max_size=8))
def test_whole_numbers_add_up_and_are_close_to_their_shares(total, weights):
    """Each is less than one away from its exact share."""
    shares = {str(number): weight / sum(weights) for number, weight in enumerate(weights)}
    counts = apportion(total, shares)
    assert sum(counts.values()) == total
    assert all(abs(counts[name] - total * share) < 1 + 1e-6 for name, share in shares.items())


def test_a_share_below_one_in_each_phase_comes_in_some():
    """Three in a hundred of ten arrivals a phase: three of the hundred in ten phases."""
    counts = apportion_in_turn([10] * 10, {"often": 0.97, "seldom": 0.03})
    assert [phase["seldom"] for phase in counts] == [0, 1, 0, 0, 1, 0, 0, 0, 1, 0]


@given(st.lists(st.integers(0, 200), min_size=1, max_size=30), st.lists(st.integers(1, 100), min_size=1, max_size=8))
def test_what_was_withheld_in_one_phase_comes_in_another(totals, weights):
    """Each phase has its total, and over all phases each name is within two of its share."""
    shares = {str(number): weight / sum(weights) for number, weight in enumerate(weights)}
    counts = apportion_in_turn(totals, shares)
    assert [sum(phase.values()) for phase in counts] == totals
    assert all(count >= 0 for phase in counts for count in phase.values())
    for name, share in shares.items():
        assert abs(sum(phase[name] for phase in counts) - sum(totals) * share) < 2


def test_all_workers_numbers_together_are_complete():
    """Worker k of W has k, k + W, …: together 0 to n - 1, each once."""
    for wanted in ({"A": 7, "B": 1, "C": 0}, {"A": 100, "B": 33}):
        for workers in (["w1"], ["w1", "w2", "w3"], [f"w{number}" for number in range(9)]):
            allotted = allot(wanted, workers)
            for name, total in wanted.items():
                numbers = [
                    rank + len(workers) * made
                    for rank, worker in enumerate(workers)
                    for made in range(allotted[worker][name])
                ]
                assert sorted(numbers) == list(range(total))
