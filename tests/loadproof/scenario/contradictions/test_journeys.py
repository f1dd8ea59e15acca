"""Kinds of users and the requests that they send, by name."""

from __future__ import annotations

from typing import Any

import pytest

from loadproof.errors import InputError
from loadproof.plan.decidability import samples_expected
from loadproof.plan.phases import expected_requests, plan_phases
from loadproof.scenario.loading import load_scenario
from simulation.rundirs import scenario
from tests.commands import scenario_file

MIX: dict[str, Any] = {
    "shopper": {"share": "50 %", "every": "2 s", "requests": ["login", "cart", "pay"]},
    "guest": {"share": "25 %", "every": "2 s", "requests": ["login"]},
    "health": {"share": "25 %", "every": "1 s"},
}
GOODPUT = {"expect": "goodput_ratio >= 99 %"}
PHASES = [{"name": "steady", "duration": "10 s", "users": 4}]


def shop(*thresholds: dict[str, Any]):
    return scenario(mix=MIX, phases=PHASES, thresholds=[*thresholds, GOODPUT])


def test_requests_are_known_by_name():
    """A kind of user without `requests` sends one, named like itself."""
    plan = shop()
    assert plan.endpoints == ("login", "cart", "pay", "health")
    assert plan.requests_of("health") == ("health",)


@pytest.mark.parametrize(
    ("endpoint", "read"),
    [
        (None, ("login", "cart", "pay", "health")),
        ("pay", ("pay",)),
        ("shopper", ("login", "cart", "pay")),
        (["guest", "pay"], ("login", "pay")),
    ],
)
def test_a_threshold_reads_requests_or_all_that_a_kind_of_user_sends(endpoint, read):
    """Each once."""
    plan = shop({"endpoint": endpoint, "expect": "p(90) < 200 ms"})
    assert plan.endpoints_of(plan.thresholds[0]) == read


def test_each_request_of_a_journey_is_expected_once_per_turn():
    """By every kind of user that sends it."""
    plan = shop()
    expected = expected_requests(plan, plan_phases(plan))
    assert {name: expected["steady", name] for name in plan.endpoints} == {
        "login": 15.0,
        "cart": 10.0,
        "pay": 10.0,
        "health": 10.0,
    }


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"requests": ["login", "login"]}, "mix.shopper.requests: named twice, got 'login'; name it once"),
        ({"requests": ["health"]}, "mix.shopper.requests: a kind of user has this name, got 'health'; give it another"),
        ({"requests": []}, "mix.shopper.requests"),
        ({"requests": ["Log in"]}, "mix.shopper.requests"),
    ],
)
def test_names_have_to_be_distinct(tmp_path, changes, problem):
    """By people who read thresholds and tables."""
    mix = MIX | {"shopper": MIX["shopper"] | changes}
    path = scenario_file(tmp_path, mix=mix, phases=PHASES, thresholds=[GOODPUT])
    with pytest.raises(InputError) as caught:
        load_scenario(path)
    assert any(problem in str(each) for each in caught.value.problems), caught.value.problems


def test_a_request_that_nobody_sends_is_not_an_endpoint(tmp_path):
    """The remedy suggests a known name."""
    path = scenario_file(
        tmp_path, mix=MIX, phases=PHASES, thresholds=[GOODPUT, {"endpoint": "crat", "expect": "p(90) < 1 s"}]
    )
    with pytest.raises(InputError, match="no such endpoint in the mix, got 'crat'; did you mean 'cart'"):
        load_scenario(path)


def test_each_request_needs_a_goodput_threshold(tmp_path):
    """A target that refuses all payments must not pass because logins go well."""
    path = scenario_file(tmp_path, mix=MIX, phases=PHASES, thresholds=[{"endpoint": ["guest", "health"], **GOODPUT}])
    with pytest.raises(InputError, match="no goodput threshold covers cart, pay"):
        load_scenario(path)


GROUP = {"requests": ["cart", "pay"], "deadline": "2 s"}


@pytest.mark.parametrize(
    ("groups", "problem"),
    [
        ({"pay": GROUP}, "groups.pay: a request or a kind of user has this name"),
        ({"guest": GROUP}, "groups.guest: a request or a kind of user has this name"),
        ({"checkout": GROUP | {"requests": ["cart", "crat"]}}, "no such request in the mix, got 'crat'; did you mean"),
        ({"checkout": GROUP | {"requests": ["cart", "pay", "cart"]}}, "named twice, got 'cart'"),
        (
            {"checkout": GROUP | {"requests": ["cart", "health"]}},
            "no kind of user sends all of them",
        ),
        ({"checkout": GROUP | {"requests": ["cart"]}}, "groups.checkout.requests"),
        ({"checkout": {"requests": ["cart", "pay"]}}, "groups.checkout.deadline"),
    ],
)
def test_a_group_has_requests_of_one_journey_and_a_unique_name(tmp_path, groups, problem):
    """And a deadline."""
    path = scenario_file(tmp_path, mix=MIX, phases=PHASES, thresholds=[GOODPUT], groups=groups)
    with pytest.raises(InputError) as caught:
        load_scenario(path)
    assert any(problem in str(each) for each in caught.value.problems), caught.value.problems


@pytest.mark.parametrize(
    ("threshold", "problem"),
    [
        (
            {"endpoint": ["checkout", "login"], "expect": "p(90) < 1 s"},
            "a group besides other requests",
        ),
        ({"endpoint": "checkout", "expect": "error_ratio < 50 % for 5 s", "abort": True}, "no window of it is ever"),
        ({"endpoint": "checkout", "expect": "p(90) < 1 s", "series": "connect"}, "no such part of its time"),
        ({"endpoint": "checkout", "expect": "spread < 50 ms"}, "only single requests have a spread"),
    ],
)
def test_a_threshold_reads_nothing_that_a_group_lacks(tmp_path, threshold, problem):
    """A threshold reads a group by itself: its times and its outcomes."""
    path = scenario_file(tmp_path, mix=MIX, phases=PHASES, thresholds=[GOODPUT, threshold], groups={"checkout": GROUP})
    with pytest.raises(InputError) as caught:
        load_scenario(path)
    assert any(problem in str(each) for each in caught.value.problems), caught.value.problems


def test_a_threshold_on_a_group_covers_its_requests():
    """The group needs each of them; its limit may be longer than any single request may take."""
    group_only = {"endpoint": "checkout", "expect": "goodput_ratio >= 99 %"}
    others = {"endpoint": ["login", "health"], "expect": "goodput_ratio >= 99 %"}
    slow = {"endpoint": "checkout", "expect": "p(90) < 25 s"}
    plan = scenario(mix=MIX, phases=PHASES, groups={"checkout": GROUP}, thresholds=[group_only, others, slow])
    expected = expected_requests(plan, plan_phases(plan))
    assert [samples_expected(plan, threshold, expected) for threshold in plan.thresholds] == [10.0, 25.0, 10.0]
