"""A disturbed second is replaced by one in which as much was planned."""

from __future__ import annotations

import pytest

from loadproof.analysis.judge.calmed import _stand_ins
from loadproof.plan.phases import plan_phases
from simulation.rundirs import open_scenario, scenario

BURSTS = scenario(
    phases=[{"name": "bursts", "users": 100, "burst": {"times": 12, "every": "5 s"}}],
    thresholds=[{"expect": "goodput_ratio >= 98 %"}],
)
FLAT = open_scenario(phases=[{"name": "flat", "duration": "5 s", "rate": "100 rps"}])


@pytest.mark.parametrize(
    ("plan", "disturbed", "pairs"),
    [
        # There are bursts in seconds 2, 7, 12, ….
        (BURSTS, {7, 8, 9}, [(7, 2), (8, 6), (9, 10)]),
        (BURSTS, {3, 4}, [(3, 1), (4, 5)]),
        (FLAT, {1}, [(1, 0)]),
        (FLAT, {0, 1, 2}, [(0, 3), (1, 4)]),
        (FLAT, {0, 1, 2, 3, 4}, []),
    ],
)
def test_the_stand_in_has_the_same_load_and_is_near(plan, disturbed, pairs):
    """Each calm second is used once."""
    spans = plan_phases(plan)
    assert _stand_ins(spans, 0, frozenset(disturbed), measured_s=spans[-1].end_s) == pairs
