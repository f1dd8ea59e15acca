"""Declared limits that a client of the plan would exceed are found before the run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadproof.plan import excess as excesses
from loadproof.plan.arrivals import ArrivalPlan
from loadproof.plan.excess import exceeded_limits
from loadproof.plan.phases import plan_phases
from loadproof.scenario.loading import load_scenario
from loadproof.scenario.target.limits import DeclaredLimit
from simulation.rundirs import open_scenario, scenario
from tests.commands import ROOT

if TYPE_CHECKING:
    from loadproof.scenario.scenario import Scenario

SCENARIOS = ROOT / "scenarios"
DEFAULT_LIMITS = {"health": "60/min", "balance": "30/min", "transactions": "10/min", "webhooks": "5/min"}


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
    """Together they exceed limits that each of them stays within."""
    assert exceeded_limits(plan, plan_phases(plan), DEFAULT_LIMITS, seed=1)


SHOPS: dict[str, Any] = {
    "mix": {
        "shopper": {"share": "50 %", "every": "1 s", "requests": ["login", "pay"]},
        "guest": {"share": "50 %", "every": "2 s", "requests": ["login"]},
    },
    "thresholds": [{"expect": "goodput_ratio >= 99 %"}],
}


def test_a_limit_covers_every_kind_of_user_that_sends_the_request():
    """Once per turn; in the closed model a client is of one kind, in the open model it serves all kinds."""

    def sent(plan: Scenario) -> dict[str, int]:
        found = exceeded_limits(plan, plan_phases(plan), {"login": "1/min", "pay": "1/min", "search": "1/min"}, seed=1)
        return {excess.endpoint: excess.sent for excess in found}

    phases = [{"name": "steady", "duration": "60 s", "users": 2}]
    assert sent(scenario(phases=phases, **SHOPS)) == {"login": 60, "pay": 60}
    assert sent(scenario(phases=phases, clients="shared", **SHOPS)) == {"login": 90, "pay": 60}
    mix = {kind: {"share": one["share"], "requests": one["requests"]} for kind, one in SHOPS["mix"].items()}
    counts = sent(open_scenario(**SHOPS | {"mix": mix}, client_count=1))
    assert counts["login"] == pytest.approx(2 * counts["pay"], rel=0.1)


def test_sending_nothing_is_within_every_limit():
    """An endpoint with no share of a small plan."""
    tiny = open_scenario(client_count=1, phases=[{"name": "flat", "duration": "1 s", "rate": "1 rps"}])
    assert exceeded_limits(tiny, plan_phases(tiny), DEFAULT_LIMITS, seed=1) == []


@pytest.mark.slow
@given(st.integers(1, 20), st.integers(0, 1000), st.sampled_from(["s", "min"]))
def test_the_busiest_window_agrees_with_a_search_through_all_clients(clients, seed, period):
    """Computed from the order of turns, without looking at single clients."""
    plan = open_scenario(client_count=clients)
    spans = plan_phases(plan)
    period_s = {"s": 1.0, "min": 60.0}[period]
    worst = 0
    blocks = list(ArrivalPlan(plan, spans, seed))
    time_s, endpoint, client = (
        np.concatenate([getattr(block, name) for block in blocks]) for name in ("time_s", "endpoint", "client")
    )
    for one in range(clients):
        times = time_s[(endpoint == 0) & (client == one)]
        worst = max([worst, *(int(((times >= at_s) & (times < at_s + period_s)).sum()) for at_s in times)])
    (found,) = exceeded_limits(plan, spans, {"balance": f"{max(1, worst - 1)}/{period}"}, seed) or [None]
    assert worst == 1 if found is None else found.sent == worst
    assert exceeded_limits(plan, spans, {"balance": f"{worst}/{period}"}, seed) == []


def test_a_kind_with_its_own_clients_can_exceed_a_limit_by_itself():
    """One client sends as much as many; its requests count against the limit of the kind that it is like."""
    mix = {"balance": {"share": "50 %"}, "flood": {"like": "balance", "share": "50 %", "clients": 1}}
    plan = open_scenario(mix=mix, client_count=10_000)
    (excess,) = exceeded_limits(plan, plan_phases(plan), {"balance": "100/min", "health": "1/min"}, 1)
    assert (excess.endpoint, excess.sent) == ("balance", 670)


def test_a_pace_exactly_at_the_limit_has_no_room_for_jitter():
    """Ten times 6 s are a minute only if no turn is a moment late."""
    phases = [{"name": "steady", "duration": "5 min", "users": 10}]
    plan = scenario(
        phases=phases, mix={"balance": {"share": "100 %", "every": "6 s"}}, thresholds=[{"expect": "goodput > 1 rps"}]
    )
    (excess,) = exceeded_limits(plan, plan_phases(plan), {"balance": "10/min"}, seed=1)
    assert excess.sent == 11
    assert exceeded_limits(plan, plan_phases(plan), {"balance": "11/min"}, seed=1) == []
    assert exceeded_limits(plan, plan_phases(plan), {"balance": "10/min"}, seed=1, jitter_s=0) == []


def bucket(burst, **keys):
    return DeclaredLimit(amount=600, period="1 min", algorithm="token-bucket", burst=burst, **keys)


@pytest.mark.parametrize(("burst", "sent", "within_s"), [(99, 100, 0.1), (100, None, None), (None, None, None)])
def test_a_burst_is_too_much_for_a_bucket_that_holds_less(burst, sent, within_s):
    """However long it has to fill up again: a hundred users of one client at once, every 12 s."""
    plan = scenario(
        phases=[{"name": "bursts", "users": 100, "burst": {"times": 5, "every": "12 s"}}],
        mix={"balance": {"share": "100 %"}},
        clients="shared",
        thresholds=[{"expect": "goodput_ratio >= 99 %"}],
    )
    found = exceeded_limits(plan, plan_phases(plan), {"balance": bucket(burst)}, seed=1)
    assert [(excess.sent, excess.within_s) for excess in found] == ([(sent, within_s)] if sent else [])
    for excess in found:
        assert excess.limit == "600/min, token-bucket, with no more than 99 at once"
    without = DeclaredLimit(amount=600, period="1 min", algorithm="moving-window")
    assert exceeded_limits(plan, plan_phases(plan), {"balance": without}, seed=1) == []


def together(limit, *, seed=1, duration="60 s", users=20, every="1 s", **keys):
    plan = scenario(
        phases=[{"name": "steady", "duration": duration, "users": users}],
        mix={"balance": {"share": "100 %", "every": every}},
        thresholds=[{"expect": "goodput_ratio >= 99 %"}],
        **keys,
    )
    found = exceeded_limits(plan, plan_phases(plan), {"balance": limit}, seed)
    return [(excess.sent, excess.within_s) for excess in found]


@pytest.mark.parametrize(("burst", "found"), [(300, []), (200, [(201, 200.0)])])
def test_a_bucket_may_hold_more_than_it_gets_in_a_period(burst, found):
    """300 tokens at first, and one per second: 201 arrivals in ten seconds are within it; 200 tokens aren't enough."""
    phases = [
        {"name": "rush", "duration": "10 s", "rate": "20.1 rps"},
        {"name": "calm", "duration": "5 min", "rate": "0.2 rps"},
    ]
    plan = open_scenario(phases=phases, mix={"balance": {"share": "100 %"}}, client_count=1)
    limit = DeclaredLimit(amount=60, period="1 min", algorithm="token-bucket", burst=burst)
    exceeded = exceeded_limits(plan, plan_phases(plan), {"balance": limit}, seed=1)
    assert [(excess.sent > burst, excess.within_s) for excess in exceeded] == [(True, within) for _, within in found]


@pytest.mark.parametrize("key", [{}, {"clients": "shared"}])
def test_users_behind_one_limit_do_not_send_together(key):
    """Each begins at a random point of its pace: 20 rps against 100 rps never empty a bucket of ten."""
    limit = DeclaredLimit(amount=6000, period="1 min", algorithm="token-bucket", burst=10, key="global")
    assert together(limit, **key) == []
    assert together(limit.model_copy(update={"amount": 1500}), **key) == []
    ((sent, _),) = together(limit.model_copy(update={"amount": 1100}), **key)
    assert sent > 10
    assert together(limit.model_copy(update={"amount": 30_000}), users=200, **key) == []
    ((sent, within_s),) = together(limit.model_copy(update={"amount": 12_600, "burst": 4}), users=200, **key)
    assert (4 < sent < 12, within_s < 0.1) == (True, True)


def test_a_bucket_that_one_run_in_ten_would_empty_is_too_small():
    """Users begin at other points of their pace in each run, so a plan is held to the busiest of several draws."""
    limit = DeclaredLimit(amount=1500, period="1 min", algorithm="token-bucket", burst=5, key="global")
    assert sum(bool(together(limit, seed=seed)) for seed in range(20)) >= 15


@pytest.mark.parametrize(("limit", "sent"), [("24/s", None), ("19/s", 20)])
def test_a_limit_of_about_a_pace_is_held_by_users_out_of_step(limit, sent):
    """20 of them a second, and few more with the jitter of one."""
    found = together(limit, clients="shared")
    assert [most >= sent for most, _ in found] == ([True] if sent else [])


@pytest.mark.parametrize(("pace", "period_s"), [("1 s", 0.3), ("1 s", 2.5), ("700 ms", 1.0), ("7 s", 1.0)])
def test_the_middle_of_a_long_phase_has_no_busier_windows_than_its_ends(monkeypatch, pace, period_s):
    """So it isn't looked at."""
    limit = DeclaredLimit.model_construct(amount=1, period=period_s, algorithm="moving-window", key="global")
    found = [together(limit, seed=seed, duration="5 min", every=pace) for seed in range(10)]
    monkeypatch.setattr(excesses, "_MORE_TURNS", 1000)
    assert found == [together(limit, seed=seed, duration="5 min", every=pace) for seed in range(10)]


def test_a_burst_may_exceed_a_bucket_little_by_little():
    """About twenty arrivals in two seconds, of which a bucket of 17 that gets one each second admits 18."""
    phases = [
        {"name": "rush", "duration": "2 s", "rate": "10 rps"},
        {"name": "calm", "duration": "60 s", "rate": "0.1 rps"},
    ]
    plan = open_scenario(phases=phases, mix={"balance": {"share": "100 %"}}, client_count=1)
    limit = DeclaredLimit(amount=60, period="1 min", algorithm="token-bucket", burst=17)
    (excess,) = exceeded_limits(plan, plan_phases(plan), {"balance": limit}, seed=1)
    assert (excess.within_s, excess.sent) == (2.0, 20)
    roomy = limit.model_copy(update={"burst": 20})
    assert exceeded_limits(plan, plan_phases(plan), {"balance": roomy}, seed=1) == []
