"""The order of a duel's runs."""

from __future__ import annotations

import numpy as np

from loadproof.plan.interleaving import SIDES, turns


def test_each_block_has_two_runs_of_each_side_and_the_same_mean_time():
    """So a steady drift of the machine is on neither side."""
    order = turns(12, seed=1)
    assert len(order) == 24
    for block in range(6):
        places = {
            side: [n for n, turn in enumerate(order) if turn.block == block and turn.side == side] for side in SIDES
        }
        assert {side: len(found) for side, found in places.items()} == {"baseline": 2, "candidate": 2}
        assert np.mean(places["baseline"]) == np.mean(places["candidate"])


def test_who_begins_a_block_is_chance_that_a_seed_repeats():
    """Neither side always begins; what was planned can be planned again, and further."""
    begins = [turn.side for turn in turns(80, seed=1)[::4]]
    assert 10 <= begins.count("baseline") <= 30
    assert turns(80, seed=1)[:8] == turns(4, seed=1)
    assert turns(80, seed=2) != turns(80, seed=1)


def test_the_runs_of_a_pair_are_one_of_each_side_beside_each_other():
    """They are sent the same arrivals."""
    order = turns(4, seed=3)
    assert [turn.pair for turn in order] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert all({one.side, other.side} == set(SIDES) for one, other in zip(order[::2], order[1::2], strict=True))
