"""What `check` shows of thresholds beside how many samples they will have."""

from __future__ import annotations

from loadproof.cli.planview import plan_table
from simulation.rundirs import scenario

LEDGER = {"audit": "ledger", "detects": "1 in 100"}
GOODPUT = {"expect": "goodput_ratio >= 10 %"}


def test_an_audit_is_shown_with_the_requests_it_gets_and_needs():
    """Those of the warm-up, too. One that looks for losses needs more of them, the rarer a loss it has to see."""
    planned = scenario(thresholds=[LEDGER, {"audit": "limits"}, GOODPUT])
    names, _, samples = ([str(cell) for cell in column.cells] for column in plan_table(planned).columns)
    shown = dict(zip(names, samples, strict=True))
    assert shown == {GOODPUT["expect"]: "1,372", "audit: ledger": "1,568 (300 needed)", "audit: limits": "1,568"}


def test_what_a_locustfile_sends_nobody_knows_beforehand():
    planned = scenario(locustfile="own.py", thresholds=[{"audit": "limits"}, GOODPUT])
    assert list(plan_table(planned).columns[2].cells) == ["?", "?"]
