"""Where the time of a user's turn goes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadproof.users.turntime import TurnTime

WAITS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)).map(sorted), max_size=12)
"""Start and end of each, in whole seconds."""


def turn_with(waits: list[list[int]], *, from_s: int = 0) -> TurnTime:
    """A turn that begins at `from_s`, with these waits."""
    turn = TurnTime(every_s=2.0, deadline_s=0.5)
    turn.restart(from_s)
    for began_s, ended_s in sorted(waits, key=lambda wait: wait[1]):
        turn.add_answering(began_s, ended_s)
    return turn


@given(WAITS)
def test_concurrent_waits_are_counted_once(waits):
    """As many seconds as any of them covers."""
    seconds = {second for began_s, ended_s in waits for second in range(began_s, ended_s)}
    assert turn_with(waits).answering_s == len(seconds)


def test_a_wait_from_before_the_turn_counts_from_its_beginning():
    """The part before it belonged to the turn before."""
    assert turn_with([[1, 7]], from_s=5).answering_s == 2


def test_the_next_turn_starts_from_nothing():
    """A wait of its own is not concurrent with those of the turn before."""
    turn = turn_with([[1, 7]])
    turn.paused_s = 1.0
    turn.restart()
    assert (turn.answering_s, turn.paused_s) == (0.0, 0.0)
    turn.add_answering(6, 8)
    assert turn.answering_s == 2


@pytest.mark.parametrize(("paused_s", "share_s"), [(1.0, 0.2), (1.9, 0.6)])
def test_a_pause_that_leaves_time_for_the_answer_is_not_the_users_own_share(paused_s, share_s):
    """At a pace of 2 s and with a deadline of 0.5 s; another 0.2 s of each turn is its own work."""
    turn = turn_with([[0, 1]])
    turn.sent.append("health")
    turn.paused_s = paused_s
    assert turn.without_pauses(paused_s + 0.2) == pytest.approx(share_s)
