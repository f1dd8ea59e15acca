"""Plans: exact counts, even turns, bursts, and limits that hold."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadproof.plan import (
    NEVER,
    apportion,
    exceeded_limits,
    expected_requests,
    next_due,
    phase_at,
    plan_arrivals,
    plan_phases,
    users_at,
)
from loadproof.scenario import Scenario, load_scenario
from tests.synthetic import scenario

SCENARIOS = Path(__file__).parent.parent / "scenarios"
DEFAULT_LIMITS = {"health": "60/min", "balance": "30/min", "transactions": "10/min", "webhooks": "5/min"}


def open_scenario(**changes: object) -> Scenario:
    phases = [
        {"name": "calm", "duration": "10 s", "rate": "20 rps"},
        {"name": "spike", "duration": "10 s", "rate": "100 rps", "ramp": "4 s"},
        {"name": "after", "duration": "5 s", "rate": "20 rps", "ramp": "5 s"},
    ]
    return scenario(
        **{"model": "open", "client_count": 50, "phases": phases, "thresholds": [{"expect": "goodput > 1 rps"}]}
        | changes
    )


@pytest.mark.parametrize("arrivals", ["poisson", "uniform"])
def test_each_phase_has_its_exact_count(arrivals):
    """The area under the rate, ramps included, split by the shares."""
    plan = open_scenario(arrivals=arrivals)
    spans = plan_phases(plan)
    planned = plan_arrivals(plan, spans, seed=3)
    expected = expected_requests(plan, spans)
    for span, total in zip(spans, (200, 840, 300), strict=True):
        inside = (planned.time_s >= span.start_s) & (planned.time_s < span.end_s)
        assert inside.sum() == total
        for number, endpoint in enumerate(planned.endpoints):
            assert (planned.endpoint[inside] == number).sum() == pytest.approx(expected[span.name, endpoint], abs=1)


@pytest.mark.parametrize("arrivals", ["poisson", "uniform"])
def test_a_ramp_is_linear(arrivals):
    """From 20 to 100 rps in 4 s: by half of the time a third of the ramp's arrivals have come."""
    plan = open_scenario(arrivals=arrivals, phases=[*open_scenario().model_dump(mode="json")["phases"]])
    times = plan_arrivals(plan, plan_phases(plan), seed=1).time_s
    ramp = times[(times >= 10) & (times < 14)]
    assert ramp.size == pytest.approx(240, rel=0.12)
    assert (ramp < 12).sum() == pytest.approx(80, rel=0.25)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(["poisson", "uniform"]))
def test_the_same_seed_gives_the_same_plan_in_order(seed, arrivals):
    """Times ascend, lie within the run, and clients take turns per endpoint."""
    plan = open_scenario(arrivals=arrivals)
    spans = plan_phases(plan)
    one, again = plan_arrivals(plan, spans, seed), plan_arrivals(plan, spans, seed)
    assert (one.time_s == again.time_s).all()
    assert (one.client == again.client).all()
    assert (np.diff(one.time_s) >= 0).all()
    assert one.time_s[0] >= 0
    assert one.time_s[-1] < spans[-1].end_s
    for number in range(len(one.endpoints)):
        turns = np.bincount(one.client[one.endpoint == number], minlength=50)
        assert turns.max() - turns.min() <= 1


def test_poisson_gaps_are_exponential():
    """Of the flat phases: the gaps' spread is their mean."""
    plan = open_scenario(phases=[{"name": "flat", "duration": "200 s", "rate": "100 rps"}])
    gaps = np.diff(plan_arrivals(plan, plan_phases(plan), seed=5).time_s)
    assert gaps.std() / gaps.mean() == pytest.approx(1.0, abs=0.03)


@given(st.integers(0, 10_000), st.lists(st.integers(1, 100), min_size=1, max_size=8))
def test_apportioning_adds_up_and_is_off_by_less_than_one(total, weights):
    """By largest remainder."""
    shares = {str(index): weight / sum(weights) for index, weight in enumerate(weights)}
    counts = apportion(total, shares)
    assert sum(counts.values()) == total
    assert all(abs(counts[name] - total * share) < 1 for name, share in shares.items())


def sends_of(spans, every_s: float, offset_s: float, answer_s: float) -> list[tuple[float, int | None, bool]]:
    """What a user sends whose every answer takes `answer_s`."""
    sends, previous_s, now_s = [], offset_s - every_s, 0.0
    while (due := next_due(spans, previous_s=previous_s, now_s=now_s, every_s=every_s, offset_s=offset_s)) != NEVER:
        sends.append((due.at_s, due.burst, due.late))
        previous_s, now_s = due.at_s, due.at_s + answer_s
        assert len(sends) < 10_000
    return sends


@settings(max_examples=150)
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


def test_after_bursts_users_go_on_out_of_step():
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


def test_users_ramp_from_the_level_before():
    """And stay within the levels."""
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


@pytest.mark.parametrize("name", ["load-100", "smoke", "spike-1000", "soak-10m"])
def test_shipped_scenarios_keep_every_client_within_the_limits(name):
    """1,200 clients carry 1000 rps: no client exceeds any limit in any minute."""
    plan = load_scenario(SCENARIOS / f"{name}.yaml")
    for seed in (1, 2, 3):
        assert exceeded_limits(plan, plan_phases(plan), DEFAULT_LIMITS, seed) == []


def test_a_plan_beyond_the_limits_is_found_with_its_worst_minute():
    """A user every 1.25 s sends 48 times a minute."""
    found = exceeded_limits(scenario(), plan_phases(scenario()), {"health": "20/min"}, seed=1)
    assert [(excess.endpoint, excess.limit) for excess in found] == [("health", "20/min")]
    assert found[0].sent > 20
    few = open_scenario(client_count=2)
    assert {excess.endpoint for excess in exceeded_limits(few, plan_phases(few), DEFAULT_LIMITS, seed=1)} == {
        "balance",
        "transactions",
        "health",
        "webhooks",
    }


@pytest.mark.parametrize("plan", [scenario(clients="shared"), open_scenario(clients="shared")])
def test_behind_one_address_all_users_are_one_client(plan):
    """Together they exceed what each keeps."""
    assert exceeded_limits(plan, plan_phases(plan), DEFAULT_LIMITS, seed=1)


def test_no_send_is_within_every_limit():
    """An endpoint with no share of a small plan."""
    tiny = open_scenario(client_count=1, phases=[{"name": "flat", "duration": "1 s", "rate": "1 rps"}])
    assert exceeded_limits(tiny, plan_phases(tiny), DEFAULT_LIMITS, seed=1) == []
    assert math.isinf(NEVER.at_s)
