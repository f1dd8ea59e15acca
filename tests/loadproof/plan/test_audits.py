"""An audit that the plan can't decide is rejected before it costs a run."""

from __future__ import annotations

import pytest

from loadproof.plan.audits import unauditable, undetectable, unshown
from loadproof.plan.phases import expected_requests, plan_phases
from loadproof.scenario.target.limits import DeclaredLimit
from loadproof.scenario.target.operations import Endpoints
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
        ({"health": "5/min", "balance": "90/min"}, "no client reaches the limit of balance"),
        ({"health": DeclaredLimit.model_construct(amount=100, period=10.0)}, "no client reaches the limit of health"),
        # One turn a second exceeds it only if one of them happens to be late.
        ({"health": DeclaredLimit.model_construct(amount=10, period=10.0)}, "no client reaches the limit of health"),
    ],
)
def test_limits_that_no_client_reaches_are_reported(limits, told):
    (problem,) = problems(limits)
    assert told in problem


def test_limits_that_clients_exceed_can_be_audited():
    assert problems({"health": "5/min", "balance": DeclaredLimit.model_construct(amount=5, period=10.0)}) == []
    assert problems({"balance": DeclaredLimit.model_construct(amount=400, period=10.0, key="global")}) == []


def test_without_an_audit_of_limits_nothing_is_checked():
    assert problems({}, thresholds=AUDIT[1:]) == []


@pytest.mark.parametrize(("at", "told"), [("1 s", ["220 requests planned"]), ("2 s", [])])
def test_payments_after_a_backup_do_not_count_for_its_audit(at, told):
    """Losses are looked for among the payments before the last backup."""
    plan = scenario(
        mix={"transactions": {"share": "100 %", "every": "500 ms"}},
        phases=[{"name": name, "duration": "10 s", "users": 10} for name in ("calm", "backup")],
        faults=[{"fault": "backup", "phase": "backup", "at": at, "lasts": "5 s"}],
        thresholds=[{"audit": "backup", "detects": "1 in 77"}, {"expect": "goodput_ratio >= 9 %"}],
    )
    spans = plan_phases(plan)
    found = [problem.got for problem in undetectable(plan, spans, expected_requests(plan, spans), where="x.yaml")]
    assert found == told


def test_an_audit_of_a_backup_needs_an_operation_that_shows_payments():
    """As with an audit of the ledger itself."""
    plan = scenario(
        faults=[{"fault": "backup", "phase": "steady", "lasts": "5 s"}],
        thresholds=[{"audit": "backup"}, {"expect": "goodput_ratio >= 9 %"}],
    )
    (problem,) = unshown(plan, Endpoints(transaction=None))
    assert "an audit of the backup, but no operation shows its payments" in str(problem)
    assert not list(unshown(plan, Endpoints()))


@pytest.mark.parametrize(("amount", "is_sure"), [(1500, False), (600, True)])
def test_a_bucket_that_only_some_runs_would_empty_cannot_be_audited(amount, is_sure):
    """Where users start is chance: a promise that nothing tested would be inconclusive in most runs."""
    phases = [{"name": "steady", "duration": "60 s", "users": 20}]
    plan = scenario(phases=phases, mix={"balance": {"share": "100 %", "every": "1 s"}}, thresholds=AUDIT)
    bucket = DeclaredLimit(amount=amount, period="1 min", algorithm="token-bucket", burst=5, key="global")
    for seed in range(5):
        found = list(unauditable(plan, plan_phases(plan), {"balance": bucket}, seed, where="x.yaml"))
        assert (found == []) is is_sure
