"""The result of a search's trials."""

from __future__ import annotations

import pytest

from loadproof.analysis.capacity.capacity import ALL, Found, capacity_of, half_of
from tests.analysis.capacity.searched import FOUND, LATE, search, trial


def test_the_estimate_comes_with_bounds_and_what_breaks_first():
    """Late answers, long before wrong ones."""
    result = capacity_of(search(), FOUND)
    assert result.found is Found.FOUND
    assert 940 < result.together.half.value < 1020
    assert result.together.half.low < result.together.half.value < result.together.half.high
    assert (result.together.lower_rps, result.together.upper_rps) == (980, 1050)
    assert [goal for goal, _ in result.first] == [LATE]
    assert result.first_outcomes[0][0] == "late"
    assert result.beyond.number == 16
    assert result.knee.load_rps == 960
    assert result.peak.number == 4


def test_each_goal_is_judged_by_the_same_trials():
    """The one that breaks later has higher bounds."""
    late, wrong = capacity_of(search(), FOUND).goals
    assert (late.lower_rps, late.upper_rps) == (980, 1050)
    assert (wrong.lower_rps, wrong.upper_rps) == (1050, 4000)
    assert wrong.half.value > late.half.value
    assert late.throughput_rps == pytest.approx(980 * 0.98)
    assert capacity_of(search(), FOUND).together.goal == ALL


def test_an_invalid_trial_counts_nowhere():
    """Whatever its figures."""
    broken = trial(17, 500, late=0.9, invalid="the generator was late")
    result = capacity_of(search(), [*FOUND, broken])
    assert result.together == capacity_of(search(), FOUND).together
    assert result.invalid == 1


def test_a_target_that_died_in_a_trial_did_not_hold_its_load():
    """Whatever the answers before it were like."""
    trials = [trial(1, 1000, ending="target_died"), trial(2, 500)]
    assert capacity_of(search(), trials).together.upper_rps == 1000


@pytest.mark.parametrize(
    ("trials", "found", "why"),
    [
        (
            [trial(1, 4000, late=0.9), trial(2, 100, late=0.1)],
            Found.TOO_HIGH,
            f"already fail at the lower end, 100 rps: {LATE}",
        ),
        ([trial(1, 4000)], Found.TOO_LOW, "still holds at the upper end, 4,000 rps"),
        ([trial(1, 4000, invalid="late")], Found.INVALID, "no trial measured the target (late)"),
        ([], Found.INVALID, "no trial measured the target"),
        ([trial(1, 4000, late=0.9), trial(2, 900), trial(3, 1000, late=0.2)], Found.ROUGH, ""),
    ],
    ids=["fails below", "holds above", "all invalid", "none", "bounds alone"],
)
def test_a_capacity_that_was_not_found_is_reported(trials, found, why):
    """With the reason."""
    result = capacity_of(search(), trials)
    assert result.found is found
    assert why in result.why


def test_the_generator_may_have_limited_the_range():
    """Then the reason says so."""
    asked = search(ceiling_rps=4000.0, ceiling_note="worker 1 at 99% CPU")
    assert "worker 1 at 99% CPU" in capacity_of(asked, [trial(1, 4000)]).why
    late = trial(1, 4000, invalid="the event loop stalled")
    why = capacity_of(search(), [late, trial(2, 3200)]).why
    assert "holds at the upper end, 3,200 rps, which is all that this generator could send (the event loop" in why


def test_an_early_end_takes_precedence_over_the_result():
    """And the estimate stays."""
    result = capacity_of(search(), FOUND, (Found.DIED, "the target no longer responds"))
    assert (result.found, result.why) == (Found.DIED, "the target no longer responds")
    assert result.together.half is not None


def test_further_trials_are_made_at_the_estimate():
    """Nowhere without one."""
    assert half_of(search(), FOUND).value == pytest.approx(980, rel=0.04)
    assert half_of(search(), [trial(1, 4000)]) is None
