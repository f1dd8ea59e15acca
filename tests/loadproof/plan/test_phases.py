"""Plans: phases, ramps of users, paces and bursts."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from loadproof.plan.pacing import NEVER, next_due
from loadproof.plan.phases import (
    changes_of,
    falls_of,
    most_requests_within,
    phase_at,
    plan_phases,
    seconds_of,
    step_ahead,
    steps_of,
    users_asked_at,
    users_at,
    users_made_at,
)
from loadproof.plan.shares import apportion
from simulation.rundirs import open_scenario, scenario


@given(st.integers(0, 10_000), st.lists(st.integers(1, 100), min_size=1, max_size=8))
def test_apportioning_adds_up_and_is_off_by_less_than_one(total, weights):
    """By largest remainder."""
    shares = {str(index): weight / sum(weights) for index, weight in enumerate(weights)}
    counts = apportion(total, shares)
    assert sum(counts.values()) == total
    assert all(abs(counts[name] - total * share) < 1 for name, share in shares.items())


def sends_of(spans, every_s: float, offset_s: float, answer_s: float) -> list[tuple[float, int | None, bool]]:
    """The sends of a user whose every answer takes `answer_s`."""
    sends, previous_s, now_s = [], offset_s - every_s, 0.0
    while (due := next_due(spans, previous_s=previous_s, now_s=now_s, every_s=every_s, offset_s=offset_s)) != NEVER:
        sends.append((due.at_s, due.burst, due.late))
        previous_s, now_s = due.at_s, due.at_s + answer_s
        assert len(sends) < 10_000
    return sends


@example(every_s=3.0, offset=0.5, answer_s=3.0)
@given(st.floats(0.5, 30), st.floats(0, 1), st.floats(0, 3))
def test_a_user_keeps_its_pace_and_meets_every_burst(every_s, offset, answer_s):
    """Never closer than `every` outside of bursts; once in each burst that it is free for; never between bursts."""
    spans = plan_phases(scenario())
    bursts_s = spans[-1].bursts_s
    sends = sends_of(spans, every_s, offset * every_s, answer_s)
    paced = [at_s for at_s, burst, _ in sends if burst is None]
    assert all(later - earlier >= every_s - 1e-9 for earlier, later in itertools.pairwise(paced))
    assert all(at_s < spans[-1].start_s for at_s in paced)
    met = [burst for _, burst, _ in sends if burst is not None]
    assert met == [1, 2]
    for at_s, burst, late in sends:
        if burst is not None:
            assert at_s >= bursts_s[burst - 1]
            assert late == (at_s > bursts_s[burst - 1])
    assert all(later >= earlier + answer_s - 1e-9 for (earlier, *_), (later, *_) in itertools.pairwise(sends))


def test_a_user_busy_through_a_burst_joins_the_next_instead():
    """It can't be at two bursts at once."""
    spans = plan_phases(scenario())
    first, second = spans[-1].bursts_s
    due = next_due(spans, previous_s=first - 1, now_s=second + 0.5, every_s=1.0, offset_s=0.0)
    assert (due.at_s, due.burst, due.late) == (second + 0.5, 2, True)


def test_after_bursts_users_continue_out_of_step():
    """Each at its own offset."""
    plan = scenario(
        phases=[
            {"name": "bursts", "users": 10, "burst": {"times": 1, "every": "4 s"}},
            {"name": "steady", "duration": "10 s", "users": 10},
        ],
        thresholds=[{"expect": "goodput > 1 rps"}],
    )
    spans = plan_phases(plan)
    due = next_due(spans, previous_s=2.0, now_s=2.1, every_s=1.0, offset_s=0.7)
    assert (due.at_s, due.burst) == (4.7, None)


def test_users_ramp_from_the_previous_level():
    """And stay between the levels."""
    plan = scenario(
        phases=[
            {"name": "low", "duration": "10 s", "users": 10},
            {"name": "high", "duration": "10 s", "users": 50, "ramp": "4 s"},
        ],
        thresholds=[{"expect": "goodput > 1 rps"}],
    )
    spans = plan_phases(plan)
    assert [users_at(spans, at_s) for at_s in (0, 9.9, 10, 12, 14, 19, 99)] == [10, 10, 10, 30, 50, 50, 50]
    assert phase_at(spans, 99).name == "high"


def test_a_ramp_is_made_of_steps_with_the_same_area():
    """The steps change only at the moments that the generator waits for."""
    phases = [
        {"name": "a", "duration": "2500 ms", "users": 10},
        {"name": "b", "duration": "9 s", "users": 50, "ramp": "4 s"},
        {"name": "c", "duration": "3 s", "users": 0 + 5, "ramp": "1500 ms"},
    ]
    spans = plan_phases(scenario(phases=phases, thresholds=[{"expect": "goodput_ratio >= 90 %"}]))
    moments, step_s = steps_of(spans), 0.01
    times = [number * step_s for number in range(int(spans[-1].end_s / step_s))]
    asked = [users_asked_at(spans, time_s) for time_s in times]
    changes = [after for before, after, a, b in zip(times, times[1:], asked, asked[1:], strict=False) if a != b]
    assert all(min(abs(change - moment) for moment in moments) <= step_s for change in changes)
    smooth = sum(users_at(spans, time_s) for time_s in times)
    assert abs(sum(asked) - smooth) < 0.01 * smooth
    assert sum(length for span in spans for _, length in seconds_of(span)) == spans[-1].end_s


def test_users_of_a_higher_step_are_created_ahead_and_start_with_it():
    """When a lower step begins, the surplus users go."""
    phases = [
        {"name": "low", "duration": "4 s", "users": 10},
        {"name": "high", "duration": "4 s", "users": 50},
        {"name": "back", "duration": "4 s", "users": 10},
    ]
    spans = plan_phases(scenario(phases=phases, thresholds=[{"expect": "goodput_ratio >= 90 %"}]))
    assert [users_made_at(spans, time_s) for time_s in (0, 3.4, 3.6, 7.9, 8.1)] == [10, 10, 50, 50, 10]
    assert changes_of(spans) == [3.5, 8.0, 12.0]
    assert falls_of(spans) == [8.0]
    assert [step_ahead(spans, steps_of(spans), time_s) for time_s in (0, 3.4, 3.6, 4.1, 7.9)] == [0, 3.4, 4.0, 4.1, 7.9]


def test_the_most_requests_of_any_minute_are_found_across_phases():
    """The window may begin in one phase and end in another."""
    phases = [
        {"name": "calm", "duration": "100 s", "rate": "10 rps"},
        {"name": "spike", "duration": "20 s", "rate": "100 rps"},
        {"name": "after", "duration": "100 s", "rate": "20 rps"},
    ]
    plan = open_scenario(phases=phases)
    assert most_requests_within(plan, plan_phases(plan), 60) == pytest.approx(100 * 20 + 20 * 40)
    assert most_requests_within(plan, plan_phases(plan), 1) == pytest.approx(100)
    assert most_requests_within(plan, plan_phases(plan), 1000) == pytest.approx(10 * 100 + 100 * 20 + 20 * 100)
