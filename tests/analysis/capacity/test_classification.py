"""A load is classified as in RFC 9971's own example, and as in MLRsearch's library."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadproof.analysis.capacity.classification import (
    Bound,
    GoalAttributes,
    TrialResult,
    bound_of,
    conditional_throughput,
)

GOALS = {
    "RFC2544": GoalAttributes(60, 60, 0.0, 0.0),
    "TST009": GoalAttributes(60, 120, 0.0, 0.5),
    "1s final": GoalAttributes(1, 120, 0.005, 0.5),
    "20% exceed": GoalAttributes(60, 60, 0.005, 0.2),
}
ADDED = {
    "first short good": [TrialResult(1, 0.0)] * 59,
    "first short bad": [TrialResult(1, 0.01)],
    "last short bad": [TrialResult(1, 0.01)] * 59,
    "last short good": [TrialResult(1, 0.0)],
    "first long bad": [TrialResult(60, 0.001)],
    "first long good": [TrialResult(60, 0.0)],
}
UPPER, LOWER, OPEN = Bound.UPPER, Bound.LOWER, Bound.UNDECIDED
PRINTED = {
    "first short good": (OPEN, OPEN, OPEN, OPEN),
    "first short bad": (UPPER, OPEN, OPEN, OPEN),
    "last short bad": (UPPER, OPEN, OPEN, UPPER),
    "last short good": (UPPER, OPEN, LOWER, UPPER),
    "first long bad": (UPPER, OPEN, LOWER, LOWER),
    "first long good": (UPPER, LOWER, LOWER, LOWER),
}
"""Source: RFC 9971, Example Search (points 1 to 6)."""
CONTRADICTING = {("first long bad", "20% exceed"), ("first long good", "20% exceed")}
"""42.857 % and 27.273 % are more than this goal's exceed ratio of 20 %: by the RFC's own rule, an upper bound."""


def trials_by(point: str) -> list[TrialResult]:
    """Everything that the example has measured up to this point."""
    names = list(ADDED)
    return [trial for name in names[: names.index(point) + 1] for trial in ADDED[name]]


@pytest.mark.parametrize("point", ADDED)
@pytest.mark.parametrize(("number", "goal"), list(enumerate(GOALS)))
def test_the_example_search_of_rfc_9971_is_classified_as_printed(point, number, goal):
    """Except for two classes that contradict the very rule they illustrate."""
    printed = PRINTED[point][number]
    by_rule = UPPER if (point, goal) in CONTRADICTING else printed
    assert bound_of(trials_by(point), GOALS[goal]) is by_rule


@pytest.mark.parametrize(("goal", "throughput"), [("TST009", 1e6), ("1s final", 1e6), ("20% exceed", 999e3)])
def test_the_conditional_throughputs_of_rfc_9971_are_those_printed(goal, throughput):
    """Out of a million frames per second."""
    assert conditional_throughput(1e6, trials_by("first long good"), GOALS[goal]) == pytest.approx(throughput)


def test_too_few_seconds_forward_nothing():
    """Time that was not measured counts as lost."""
    goal = GoalAttributes(10, 60, 0.01, 0.5)
    assert conditional_throughput(100, [TrialResult(10, 0.0)] * 2, goal) == 0
    assert conditional_throughput(100, [TrialResult(10, 0.0)] * 3, goal) == 100


@pytest.mark.long
@given(
    trials=st.lists(
        st.tuples(st.sampled_from([1.0, 5.0, 10.0]), st.sampled_from([0.0, 0.01, 0.02, 0.5])), min_size=1, max_size=20
    ),
    exceed_ratio=st.sampled_from([0.0, 0.2, 0.5]),
    duration_sum_s=st.sampled_from([10.0, 30.0]),
)
def test_the_library_agrees(trials, exceed_ratio, duration_sum_s):
    """On classes, and on the loss from which conditional throughput is computed."""
    # It inspects all modules while it is imported, which takes seconds in a process with as many as a test has.
    from MLRsearch.target_spec import TargetSpec
    from MLRsearch.target_stat import TargetStat
    from MLRsearch.trial_measurement import MeasurementResult

    goal = GoalAttributes(10, duration_sum_s, 0.01, exceed_ratio)
    theirs = TargetStat(TargetSpec(0.01, exceed_ratio, None, 10.0, duration_sum_s, 2, False, None))
    for duration_s, loss_ratio in trials:
        theirs.add(MeasurementResult(duration_s, 100.0, offered_count=100, loss_count=round(100 * loss_ratio)))
    measured = [TrialResult(*trial) for trial in trials]
    bound = {(True, True): LOWER, (False, False): UPPER, (True, False): OPEN}[theirs.estimates()]
    assert bound_of(measured, goal) is bound
    if bound is LOWER:
        expected = 100 * (1 - theirs.pessimistic_loss_ratio)
        assert conditional_throughput(100, measured, goal) == pytest.approx(expected)
