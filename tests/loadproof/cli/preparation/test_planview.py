"""What `check` shows of thresholds and the samples that they will have."""

from __future__ import annotations

from loadproof.cli.preparation.planview import plan_table
from simulation.rundirs import scenario

LEDGER = {"audit": "ledger", "detects": "1 in 100"}
GOODPUT = {"expect": "goodput_ratio >= 10 %"}


def test_an_audit_is_shown_with_the_requests_it_gets_and_needs():
    """Including the warm-up's. The rarer a loss it must detect, the more requests it needs."""
    planned = scenario(thresholds=[LEDGER, {"audit": "limits"}, GOODPUT])
    names, _, samples = ([str(cell) for cell in column.cells] for column in plan_table(planned).columns)
    shown = dict(zip(names, samples, strict=True))
    assert shown == {GOODPUT["expect"]: "1,372", "audit: ledger": "1,568 (300 needed)", "audit: limits": "1,568"}


def test_what_a_locustfile_sends_is_not_known_beforehand():
    planned = scenario(locustfile="own.py", thresholds=[{"audit": "limits"}, GOODPUT])
    assert list(plan_table(planned).columns[2].cells) == ["?", "?"]
