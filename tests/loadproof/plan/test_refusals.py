"""Gaps in thresholds on goodput are reported: phases that none reads, and traffic that could be refused altogether."""

from __future__ import annotations

import pytest

from loadproof.plan.phases import expected_requests, plan_phases
from loadproof.plan.refusals import hardly_expected, refusable
from loadproof.scenario.scenario import Scenario
from tests.commands import QUICK


def notes(**changes: object) -> list[str]:
    scenario = Scenario.model_validate(QUICK | changes)
    return [str(note) for note in refusable(scenario, expected_requests(scenario, plan_phases(scenario)), where="x")]


def test_a_phase_without_a_goodput_threshold_is_reported_in_one_line():
    """Except warm-up, which no threshold reads."""
    (told,) = notes(thresholds=[{"phase": "steady", "expect": "goodput_ratio >= 99.9 %"}])
    assert told == (
        "x thresholds: no goodput threshold covers bursts; add `phase: bursts` with `goodput_ratio >= 99 %`"
    )
    assert notes(thresholds=[{"expect": "goodput_ratio >= 99.9 %"}]) == []


HALVES = {"ping": {"share": "50 %", "every": "1 s"}, "pay": {"share": "50 %", "every": "1 s"}}


@pytest.mark.parametrize(
    ("expects", "refused"),
    [
        (["goodput_ratio >= 50 %"], ["ping", "pay"]),
        (["goodput_ratio >= 51 %"], []),
        (["goodput_ratio >= 20 %", "goodput_ratio >= 51 %"], []),
        (["goodput >= 9 rps"], ["ping", "pay"]),
        (["goodput >= 11 rps"], []),
    ],
)
def test_traffic_that_could_be_refused_altogether_is_reported(expects, refused):
    """If every threshold that reads it leaves room for that: here ten of twenty requests a second."""
    phases = [{"name": "steady", "duration": "10 s", "users": 20}]
    told = notes(mix=HALVES, phases=phases, thresholds=[{"expect": expect} for expect in expects])
    assert len(told) == bool(refused)
    assert [name for name in HALVES if f"all of {name} " in " ".join(told)] == refused


def test_an_endpoint_with_its_own_threshold_cannot_be_refused():
    """With any limit above zero."""
    phases = [{"name": "steady", "duration": "10 s", "users": 20}]
    thresholds = [{"endpoint": name, "expect": "goodput_ratio >= 1 %"} for name in HALVES]
    assert notes(mix=HALVES, phases=phases, thresholds=thresholds) == []


OPEN = {"model": "open", "client_count": 20, "mix": {"ping": {"share": "100 %"}}}


@pytest.mark.parametrize(
    ("expects", "changes", "is_refused"),
    [
        (["goodput_ratio >= 1 %"], {}, False),
        (["goodput_ratio >= 0.99 %"], {}, True),
        (["goodput_ratio >= 0.5 %", "goodput_ratio >= 50 %"], {}, False),
        (["goodput >= 1 rps"], {}, False),
        (["goodput > 0.99 rps"], {}, True),
        (["goodput_ratio >= 0.1 %"], {"expect_throttling": True}, False),
        (["goodput_ratio >= 0.09 %"], {"expect_throttling": True}, True),
        (["goodput >= 0.1 rps for 2 s"], {"expect_throttling": True}, False),
    ],
)
def test_goodput_met_by_refusing_almost_everything_is_rejected(expects, changes, is_refused):
    """Out of a hundred arrivals a second; a scenario that floods a limiter may expect less."""
    phases = [{"name": "steady", "duration": "10 s", "rate": "100 rps"}]
    thresholds = [{"expect": expect} for expect in expects]
    scenario = Scenario.model_validate(QUICK | OPEN | {"phases": phases, "thresholds": thresholds} | changes)
    problems = list(hardly_expected(scenario, expected_requests(scenario, plan_phases(scenario)), where="x"))
    assert len(problems) == is_refused


def test_almost_no_goodput_is_reported_with_its_endpoints():
    """Endpoints of which more is expected are not named."""
    thresholds = [
        {"endpoint": "ping", "expect": "goodput_ratio >= 0.1 %"},
        {"endpoint": "pay", "expect": "goodput > 1 rps"},
    ]
    phases = [{"name": "steady", "duration": "10 s", "users": 20}]
    scenario = Scenario.model_validate(QUICK | {"mix": HALVES, "phases": phases, "thresholds": thresholds})
    (problem,) = hardly_expected(scenario, expected_requests(scenario, plan_phases(scenario)), where="x")
    assert str(problem) == (
        "x thresholds: a target that refuses more than 99 % of ping would still meet its goodput thresholds; expect "
        "`goodput_ratio >= 99 %`, or the least that you accept; with `expect_throttling: true`, 0.1 % is enough"
    )


GROUPED = {
    "mix": {"shop": {"share": "100 %", "requests": ["cart", "pay"]}},
    "groups": {"checkout": {"requests": ["cart", "pay"], "deadline": "1 s"}},
}


@pytest.mark.parametrize(
    ("expect", "is_refused"),
    [("goodput >= 0.001 rps", True), ("goodput >= 2 rps", False), ("goodput_ratio >= 0.5 %", True)],
)
def test_a_groups_goodput_is_that_of_planned_groups(expect, is_refused):
    """Of a hundred groups a second."""
    phases = [{"name": "steady", "duration": "10 s", "rate": "100 rps"}]
    thresholds = [{"endpoint": "checkout", "expect": expect}]
    plan = Scenario.model_validate(QUICK | OPEN | GROUPED | {"phases": phases, "thresholds": thresholds})
    expected = expected_requests(plan, plan_phases(plan))
    assert bool(list(hardly_expected(plan, expected, where="x"))) is is_refused
    assert list(refusable(plan, expected, where="x")) == []


def test_what_only_a_group_reads_could_not_be_refused():
    """Other traffic has room to be lost; a group has none without each of its requests."""
    phases = [{"name": "steady", "duration": "10 s", "rate": "100 rps"}]
    thresholds = [{"expect": "goodput_ratio >= 40 %"}, {"endpoint": "checkout", "expect": "goodput_ratio >= 2 %"}]
    plan = Scenario.model_validate(QUICK | OPEN | GROUPED | {"phases": phases, "thresholds": thresholds})
    assert list(refusable(plan, expected_requests(plan, plan_phases(plan)), where="x")) == []
