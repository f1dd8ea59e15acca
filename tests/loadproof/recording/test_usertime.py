"""Users' time as cells: nothing is counted twice or outside the plan, and fractions of turns add up."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadproof.outcome import BACKED_OFF, MISSED
from loadproof.plan.phases import plan_phases
from loadproof.recording.usertime import UserTime
from loadproof.rundir.rows import LATE_MS, NEVER_SENT, PRESENT_MS, IntervalRow
from simulation.rundirs import scenario

SPANS = plan_phases(
    scenario(
        phases=[
            {"name": "a", "duration": "2500 ms", "users": 4},
            {"name": "bursts", "users": 4, "burst": {"times": 3, "every": "2 s"}},
            {"name": "b", "duration": "3 s", "users": 4},
        ],
        thresholds=[{"expect": "goodput_ratio >= 90 %"}],
    )
)
END_S = SPANS[-1].end_s
moment = st.floats(-2, END_S + 3)


def total(time: UserTime, series: str, outcome: str = "", until_s: float = END_S) -> int:
    rows = [IntervalRow(*row) for row in time.take(until_s)]
    return sum(row.count for row in rows if (row.series, row.outcome) == (series, outcome))


@given(lives=st.lists(st.tuples(moment, moment).map(sorted), max_size=6), looks=st.lists(moment, max_size=5))
def test_presence_is_the_sum_of_lives_within_the_plan(lives, looks):
    """However often it is read meanwhile."""
    time, seen = UserTime(SPANS), 0
    events = [(came, "came") for came, _ in lives] + [(left, "left") for _, left in lives]
    for at_s, what in sorted(events + [(look, "look") for look in looks]):
        if what == "look":
            seen += total(time, PRESENT_MS, until_s=at_s)
        else:
            getattr(time, what)("shop", at_s)
    seen += total(time, PRESENT_MS)
    truth_s = sum(max(0.0, min(left, END_S) - max(came, 0.0)) for came, left in lives)
    assert seen == pytest.approx(1000 * truth_s, abs=20)


@given(waits=st.lists(st.tuples(moment, moment).map(sorted), min_size=1, max_size=20))
def test_missed_turns_add_up_to_the_time_divided_by_the_pace(waits):
    """Except in phases with bursts, where turns don't follow the pace."""
    time = UserTime(SPANS)
    for from_s, until_s in waits:
        time.kept_waiting(["shop"], MISSED, from_s, until_s, every_s=0.4)
    paced = [span for span in SPANS if not span.bursts_s]
    truth_s = sum(
        max(0.0, min(until_s, span.end_s) - max(from_s, span.start_s)) for from_s, until_s in waits for span in paced
    )
    assert total(time, NEVER_SENT, MISSED) == pytest.approx(truth_s / 0.4, abs=1)


@given(
    turns=st.lists(
        st.tuples(st.tuples(moment, moment, moment).map(sorted), st.sampled_from(["shop", "bank"])), max_size=20
    ),
    again=st.integers(1, 4),
)
def test_an_overlong_turn_is_first_missed_and_then_late(turns, again):
    """Whether added up with others of its second or one by one, the sums are the same."""
    time, plain = UserTime(SPANS), UserTime(SPANS)
    for (from_s, own_s, until_s), endpoint in turns * again:
        time.overran(endpoint, [endpoint], from_s, own_s, until_s, 0.4)
        plain.kept_waiting([endpoint], MISSED, from_s, own_s, every_s=0.4)
        plain.late(endpoint, own_s, until_s)
    time._end_overruns()
    assert {key: amount for key, amount in time._amounts.items() if amount} == pytest.approx(
        {key: amount for key, amount in plain._amounts.items() if amount}
    )


def test_lost_turns_belong_to_their_own_second_and_phase():
    """Late time likewise."""
    time = UserTime(SPANS)
    time.kept_waiting(["shop"], BACKED_OFF, 1.0, 3.0, every_s=0.25)
    time.late("shop", 2.25, 2.75)
    rows = {IntervalRow(*row)[:6]: row[6] for row in time.take(END_S)}
    assert rows == {
        (1, "a", "shop", BACKED_OFF, NEVER_SENT, 0): 4,
        (2, "a", "shop", BACKED_OFF, NEVER_SENT, 0): 2,
        (2, "a", "shop", "", LATE_MS, 0): 250,
        (2, "bursts", "shop", "", LATE_MS, 0): 250,
    }


@pytest.mark.parametrize(("took_last", "missed"), [(True, {3: 1}), (False, {3: 1, 5: 1})])
def test_of_the_bursts_during_a_busy_time_a_user_takes_the_last_or_none(took_last, missed):
    """Bursts come at 3.5, 5.5 and 7.5 s."""
    time = UserTime(SPANS)
    time.missed_bursts("shop", MISSED, 2.0, 6.0, took_last=took_last)
    seen = Counter({row[0]: row[6] for row in time.take(END_S)})
    assert seen == missed
