"""What a capacity search takes from a scenario."""

from __future__ import annotations

import pytest

from loadproof.plan.trials import TRIAL, ceiling_of, goals_of, trial_of
from loadproof.scenario.scenario import Scenario
from simulation.rundirs import open_scenario


def with_thresholds(*thresholds: dict[str, object], **changes: object) -> Scenario:
    return open_scenario(thresholds=list(thresholds), **changes)


@pytest.mark.parametrize(
    ("expect", "loss_ratio"),
    [
        ("p(95) < 200 ms", 0.05),
        ("p(99.9) <= 2 s", 0.001),
        ("max < 1 s", 0.0),
        ("error_ratio < 1 %", 0.01),
        ("goodput_ratio >= 99.5 %", 0.005),
        ("throttled_ratio < 5 %", 0.05),
    ],
)
def test_a_quantile_or_a_ratio_is_a_share_that_may_be_lost(expect, loss_ratio):
    """As people write them in thresholds."""
    (goal,), others = goals_of(with_thresholds({"expect": expect}))
    assert goal.loss_ratio == loss_ratio
    assert others == []


@pytest.mark.parametrize(
    "threshold",
    [
        {"expect": "mean < 200 ms"},
        {"expect": "goodput >= 100 rps"},
        {"expect": "recovery <= 10 s", "phase": "after"},
        {"expect": "drift(p(95)) < 10 %"},
        {"expect": "p(95) <= 1.10 * baseline"},
        {"expect": "p(95) < 200 ms for 5 s"},
        {"expect": "p(95) < 200 ms", "series": "connect"},
        {"expect": "p(95) < 200 ms", "outcome": "throttled"},
        {"expect": "throttled_ratio > 5 %"},
        {"audit": "limits"},
    ],
    ids=str,
)
def test_other_thresholds_are_listed_and_set_no_goal(threshold):
    """No share of a trial's requests decides them."""
    goals, others = goals_of(with_thresholds(threshold))
    assert goals == []
    assert len(others) == 1


def test_the_same_threshold_on_several_phases_is_one_goal():
    """For another endpoint it is another goal."""
    goals, _ = goals_of(
        with_thresholds(
            {"expect": "p(95) < 200 ms", "phase": "calm"},
            {"expect": "p(95) < 200 ms", "phase": "after"},
            {"expect": "p(95) < 200 ms", "endpoint": ["balance", "health"]},
        )
    )
    assert [goal.name for goal in goals] == ["p(95) < 200 ms", "balance + health: p(95) < 200 ms"]


def test_a_trial_is_the_scenario_at_one_load():
    """Its first seconds are warm-up; it has none of the scenario's phases, and no journal."""
    plan = with_thresholds(
        {"expect": "p(95) < 200 ms", "phase": "calm"}, {"expect": "goodput >= 1 rps"}, record="requests"
    )
    goals, _ = goals_of(plan)
    trial = trial_of(plan, goals, load_rps=1234.5678, warm_up_s=2, duration_s=10)
    assert [(phase.name, phase.warm_up, phase.duration, phase.rate) for phase in trial.phases] == [
        ("warm-up", True, 2.0, 1234.5678),
        (TRIAL, False, 10.0, 1234.5678),
    ]
    assert [threshold.expect for threshold in trial.thresholds] == ["p(95) < 200 ms"]
    assert trial.phases_of(trial.thresholds[0]) == (TRIAL,)
    assert not trial.records_requests
    assert Scenario.model_validate_json(trial.model_dump_json()) == trial


def test_the_generator_alone_gets_steps_up_to_the_highest_load():
    """Each of them is measured."""
    steps = ceiling_of(open_scenario(), [], to_rps=1000, step_s=3).phases
    assert [step.rate for step in steps if not step.warm_up] == [250, 500, 750, 1000]
