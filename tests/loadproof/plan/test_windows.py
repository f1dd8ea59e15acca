"""How a phase's load is spread over its windows, and what a plan with ramps or bursts can't decide by windows."""

from __future__ import annotations

import pytest

from loadproof.plan.decidability import undecidable
from loadproof.plan.phases import expected_requests, plan_phases
from loadproof.plan.windows import shares_of_windows
from simulation.rundirs import open_scenario, scenario


@pytest.mark.parametrize(
    ("phases", "window_s", "shares"),
    [
        ([{"duration": "60 s", "rate": "100 rps"}], 10, (1 / 6, 1 / 6)),
        ([{"duration": "60 s", "rate": "100 rps", "ramp": "40 s"}], 10, (125 / 4000, 1000 / 4000)),
        ([{"duration": "10.5 s", "rate": "20 rps"}, {"duration": "10 s", "rate": "20 rps"}], 10, (0, 0)),
        (
            [{"duration": "20 s", "rate": "50 rps"}, {"duration": "20 s", "rate": "10 rps", "ramp": "10 s"}],
            5,
            (50 / 400, 200 / 400),
        ),
    ],
)
def test_a_ramp_makes_windows_of_arrivals_unequal(phases, window_s, shares):
    """The smallest and the largest share of the last phase; none if it has no window of whole seconds."""
    plan = open_scenario(phases=[{"name": f"phase-{number}"} | phase for number, phase in enumerate(phases)])
    assert shares_of_windows(plan_phases(plan), len(phases) - 1, window_s) == pytest.approx(shares)


@pytest.mark.parametrize(
    ("phase", "window_s", "shares"),
    [
        ({"duration": "40 s", "users": 100}, 10, (1 / 4, 1 / 4)),
        ({"duration": "40 s", "users": 100, "ramp": "20 s"}, 10, (250 / 4000, 1 / 4)),
        ({"users": 100, "burst": {"times": 4, "every": "10 s"}}, 5, (0, 1 / 4)),
        ({"users": 100, "burst": {"times": 4, "every": "10 s"}}, 10, (1 / 4, 1 / 4)),
    ],
)
def test_ramps_and_bursts_make_windows_of_users_unequal(phase, window_s, shares):
    """A window between two bursts has no requests."""
    plan = scenario(phases=[{"name": "one"} | phase], thresholds=[{"expect": "goodput_ratio >= 90 %"}])
    assert shares_of_windows(plan_phases(plan), 0, window_s) == pytest.approx(shares)


@pytest.mark.parametrize(
    ("expect", "ramp", "what"),
    [
        ("goodput >= 40 rps for 10 s", "40 s", "as planned and by chance windows reach from 6"),
        ("goodput >= 40 rps for 10 s", None, None),
        ("throughput < 100 rps for 10 s", "40 s", "as planned and by chance windows reach"),
        ("p(95) < 200 ms for 10 s", "40 s", "it needs 207 samples a window"),
        ("p(95) < 200 ms for 10 s", None, None),
    ],
)
def test_the_poorest_window_decides_whether_a_threshold_can_be_met(expect, ramp, what):
    """On average the phase has enough; at the foot of its ramp even a perfect target would fail, or decide nothing."""
    phase = {"name": "up", "duration": "60 s", "rate": "100 rps"} | ({"ramp": ramp} if ramp else {})
    thresholds = [{"expect": expect}, {"expect": "goodput_ratio >= 90 %"}]
    plan = open_scenario(mix={"balance": {"share": "100 %"}}, phases=[phase], thresholds=thresholds)
    problems = [problem.what for problem in undecidable(plan, expected_requests(plan, plan_phases(plan)), where="x")]
    assert [what in problem for problem in problems] == ([True] if what else [])
