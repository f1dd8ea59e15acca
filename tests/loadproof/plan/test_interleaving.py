"""The order of a duel's runs."""

from __future__ import annotations

import numpy as np

from loadproof.plan.interleaving import SIDES, turns


def test_each_block_has_two_runs_of_each_side_and_the_same_mean_time():
    """So a steady drift of the machine favours neither side."""
    order = turns(12, seed=1)
    assert len(order) == 24
    for block in range(6):
        places = {
            side: [n for n, turn in enumerate(order) if turn.block == block and turn.side == side] for side in SIDES
        }
        assert {side: len(found) for side, found in places.items()} == {"baseline": 2, "candidate": 2}
        assert np.mean(places["baseline"]) == np.mean(places["candidate"])


def test_which_side_begins_a_block_is_random_but_reproducible():
    """Neither side always begins; the same order can be made again, and continued."""
    begins = [turn.side for turn in turns(80, seed=1)[::4]]
    assert 10 <= begins.count("baseline") <= 30
    assert turns(80, seed=1)[:8] == turns(4, seed=1)
    assert turns(80, seed=2) != turns(80, seed=1)


def test_a_pair_has_one_run_of_each_side_next_to_each_other():
    """Both get the same arrivals."""
    order = turns(4, seed=3)
    assert [turn.pair for turn in order] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert all({one.side, other.side} == set(SIDES) for one, other in zip(order[::2], order[1::2], strict=True))
