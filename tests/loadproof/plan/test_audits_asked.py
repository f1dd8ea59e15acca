"""Audits of ledgers and webhooks that could not be decided are rejected before anything is sent."""

from __future__ import annotations

import pytest

from loadproof.plan.audits import undetectable, unshown
from loadproof.plan.phases import expected_requests, plan_phases
from loadproof.scenario.target.operations import Endpoints
from loadproof.scenario.thresholds.audit import ONE_IN
from simulation.rundirs import scenario


def refused(detects: str | None, audit: str = "ledger") -> list[str]:
    threshold = {"audit": audit} | ({"detects": detects} if detects else {})
    asked = scenario(thresholds=[threshold, {"expect": "goodput_ratio >= 98 %"}])
    spans = plan_phases(asked)
    problems = undetectable(asked, spans, expected_requests(asked, spans), where="x.yaml")
    return [str(problem) for problem in problems]


@pytest.mark.parametrize("audit", ["ledger", "webhooks"])
def test_a_plan_too_small_to_show_the_rarest_loss_is_rejected(audit):
    """To detect a loss of 1 in n, 3 n requests are needed."""
    (problem,) = refused(None, audit)
    assert f"can't see a loss of 1 in {ONE_IN}: it needs 15,000 payments or events" in problem
    assert refused("1 in 100", audit) == []


def test_the_strictest_of_several_thresholds_counts():
    """Whatever their order."""
    thresholds = [{"audit": "ledger", "detects": f"1 in {one_in}"} for one_in in (7, 9, 8)]
    assert scenario(thresholds=thresholds).one_in("ledger") == 9
    assert scenario().one_in("ledger") == ONE_IN


def test_a_target_file_without_operations_to_audit_by_is_rejected():
    """And one that declares enough is not."""
    asked = scenario(thresholds=[{"audit": "ledger"}, {"audit": "webhooks"}])
    blind = Endpoints.model_validate({"transaction": None})
    assert [problem.remedy for problem in unshown(asked, blind)] == [
        "declare `payments`, or `transaction`",
        "declare `effects`",
    ]
    shown = {"transaction": None, "payments": {"path": "/of/{key}"}, "effects": {"path": "/effects/{event}"}}
    assert list(unshown(asked, Endpoints.model_validate(shown))) == []
    assert list(unshown(scenario(), blind)) == []
