"""An audit that the plan can't decide is refused before it costs a run."""

from __future__ import annotations

import pytest

from loadproof.plan.audits import unauditable
from loadproof.plan.phases import plan_phases
from loadproof.scenario.limits import DeclaredLimit
from simulation.rundirs import scenario

MIX = {"health": {"share": "50 %", "every": "1 s"}, "balance": {"share": "50 %", "every": "1 s"}}
AUDIT = [{"audit": "limits"}, {"expect": "goodput_ratio >= 1 %"}]


def problems(limits, **changes):
    plan = scenario(mix=MIX, **{"thresholds": AUDIT, **changes})
    return [str(problem) for problem in unauditable(plan, plan_phases(plan), limits, 1, where="x.yaml")]


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        ({}, "none is declared for what is sent"),
        ({"webhooks": "5/min"}, "none is declared for what is sent"),
        ({"health": "5/min", "balance": "90/min"}, "no client comes to that of balance"),
        ({"health": DeclaredLimit.model_construct(amount=100, period=10.0)}, "no client comes to that of health"),
    ],
)
def test_limits_that_nobody_comes_to_are_told(limits, told):
    (problem,) = problems(limits)
    assert told in problem


def test_limits_that_clients_exceed_can_be_audited():
    assert problems({"health": "5/min", "balance": DeclaredLimit.model_construct(amount=5, period=10.0)}) == []
    assert problems({"balance": DeclaredLimit.model_construct(amount=400, period=10.0, key="global")}) == []


def test_without_the_audit_nothing_is_asked():
    assert problems({}, thresholds=AUDIT[1:]) == []
