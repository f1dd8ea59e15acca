"""The trials that a capacity search makes of simulated targets."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadproof.analysis.capacity.capacity import Found, capacity_of
from loadproof.cli.capacity.capacity import known_by
from loadproof.run.experiments.capacity import AROUND, BEYOND, SearchStoppedError, TrialPlan, UnsendableError
from loadproof.rundir.trials import GoalLoss, Search, Trial
from simulation.trials import LogisticTarget, search_for, trial

# In one process, because the imports of the first search take two seconds.
pytestmark = pytest.mark.slow

CLIFF_RPS = 975.0
SEARCH = search_for(100.0, 4000.0)


def plan(measure, search: Search = SEARCH, **options) -> TrialPlan:
    options.setdefault("clock", lambda: 0.0)
    return TrialPlan(search, measure, known_by(search), **options)


def cliff(middle_rps: float = CLIFF_RPS) -> LogisticTarget:
    """A target that sustains exactly this rate."""
    return LogisticTarget(np.random.default_rng(1), middle_rps, 1e6)


@pytest.fixture(scope="module")
def made() -> list[Trial]:
    """All trials of a complete search."""
    whole = plan(cliff().measure)
    whole.make()
    return whole.trials


def test_the_search_brackets_the_capacity_in_few_trials(made):
    """Ten trials around it follow, half of them below, and one beyond."""
    searched = [one for one in made if one.stage == "search"]
    assert len(searched) < 20
    result = capacity_of(SEARCH, made)
    assert result.together.lower_rps <= CLIFF_RPS <= result.together.upper_rps
    assert result.together.upper_rps / result.together.lower_rps < 1.06
    repeats = [one.load_rps for one in made if one.stage == "repeat"]
    assert len(repeats) == 10
    assert [load < CLIFF_RPS for load in repeats].count(True) == 5
    assert all(abs(math.log(load / CLIFF_RPS)) < 2 * AROUND for load in repeats)
    assert made[-1].load_rps == pytest.approx(BEYOND * CLIFF_RPS, rel=0.02)
    assert result.found is Found.FOUND
    assert result.together.half.low < CLIFF_RPS < result.together.half.high


def test_an_interrupted_search_resumes_where_it_stopped(made):
    """No trial is made again, and together they are the trials of an uninterrupted search."""
    again = cliff()
    for cut in (0, 3, len(made) - 6, len(made)):
        again.made = 0
        resumed = plan(again.measure, before=made[:cut])
        resumed.make()
        assert [(one.stage, one.load_rps) for one in resumed.trials] == [(one.stage, one.load_rps) for one in made]
        assert again.made == len(made) - cut


def test_an_invalid_trial_is_repeated_and_does_not_count_as_a_loss(made):
    """Every other trial is invalid; the loads are the same as without invalid ones."""
    target = cliff()
    is_broken = iter([True, False] * 100)

    def measure(load_rps, duration_s, stage):
        if next(is_broken):
            return trial(0, load_rps, duration_s, stage, lost=1, of=1).model_copy(update={"invalid": "late"})
        return target.measure(load_rps, duration_s, stage)

    disturbed = plan(measure)
    disturbed.make()
    assert len(disturbed.trials) == 2 * len(made)
    valid = [one for one in disturbed.trials if one.is_valid]
    assert [(one.stage, one.load_rps) for one in valid] == [(one.stage, one.load_rps) for one in made]


def test_the_range_ends_at_what_the_generator_can_send():
    """A lower load is tried instead, and never a higher one."""
    target = cliff()

    def measure(load_rps, duration_s, stage):
        valid = target.measure(load_rps, duration_s, stage)
        return valid if load_rps <= 1500 else valid.model_copy(update={"invalid": "late"})

    limited = plan(measure)
    limited.make()
    assert max(one.load_rps for one in limited.trials if one.is_valid) <= 1500
    assert capacity_of(SEARCH, limited.trials).found is Found.FOUND


def test_a_generator_that_can_send_nothing_ends_the_search():
    """After three attempts at each load."""

    def measure(load_rps, duration_s, stage):
        return trial(0, load_rps, duration_s, stage, lost=0, of=1).model_copy(update={"invalid": "worker 1 was late"})

    hopeless = plan(measure)
    with pytest.raises(UnsendableError, match="worker 1 was late"):
        hopeless.make()
    assert len(hopeless.trials) % 3 == 0


@pytest.mark.parametrize(("middle_rps", "found"), [(50.0, Found.TOO_HIGH), (10_000.0, Found.TOO_LOW)])
def test_a_capacity_outside_the_range_is_not_guessed(middle_rps, found):
    """A few trials show that it is outside."""
    outside = plan(cliff(middle_rps).measure)
    outside.make()
    assert len(outside.trials) <= 6
    assert capacity_of(SEARCH, outside.trials).found is found


@pytest.mark.parametrize("middle_rps", [101.0, 103.0, 110.0, 300.0, 2200.0, 3700.0, 3900.0, 3990.0])
def test_a_capacity_anywhere_in_the_range_is_handled(middle_rps):
    """Also close to its ends."""
    whole = plan(cliff(middle_rps).measure)
    whole.make()
    assert capacity_of(SEARCH, whole.trials).found in {Found.FOUND, Found.ROUGH, Found.TOO_HIGH, Found.TOO_LOW}


def test_the_search_ends_when_its_time_is_over():
    """With the trials so far."""
    seconds = iter(range(0, 100_000, 20))
    quick = search_for(100.0, 4000.0, is_quick=True, repeats=0)
    short = plan(cliff().measure, quick, clock=lambda: float(next(seconds)))
    short.make()
    assert 1 <= len([one for one in short.trials if one.stage == "search"]) <= 4


def test_a_stopped_search_makes_no_more_trials():
    """The error passes through the library's own loop."""

    def measure(load_rps, duration_s, stage):
        raise SearchStoppedError("interrupted")

    with pytest.raises(SearchStoppedError):
        plan(measure).make()


@pytest.fixture(scope="module")
def common_loss():
    """Imported late: the library inspects all loaded modules, which takes seconds among those of all tests."""
    from loadproof.run.experiments import boundsearch

    return boundsearch.common_loss


ratios = st.integers(0, 1000)


@given(lost=st.lists(st.tuples(ratios, st.sampled_from([0.0, 0.001, 0.01, 0.05, 0.5])), min_size=1, max_size=4))
def test_goals_of_different_strictness_become_one_loss_ratio(common_loss, lost):
    """It exceeds the strictest limit if and only if any goal was missed, even when rounded to millionths."""
    one = trial(1, 100.0, 10.0, "search", lost=0, of=1).model_copy(
        update={
            "losses": [GoalLoss(goal=str(n), lost=share, of=1000, allowed=most) for n, (share, most) in enumerate(lost)]
        }
    )
    limit = min(allowed for _, allowed in lost)
    ratio = common_loss(one, limit)
    assert 0 <= ratio <= 1
    assert (round(1e6 * ratio) / 1e6 > limit) is not one.is_kept


def test_the_loss_of_an_overload_leaves_out_what_was_answered_late(common_loss):
    """A queue answers at its capacity, which is where to look next."""
    one = trial(1, 400.0, 10.0, "search", lost=4000, of=4000, answered=1000)
    assert common_loss(one, 0.05) == pytest.approx(0.75)


def test_a_target_that_died_lost_everything(common_loss):
    """Whatever it answered before."""
    one = trial(1, 100.0, 10.0, "search", lost=0, of=100).model_copy(update={"ending": "target_died"})
    assert common_loss(one, 0.05) == 1.0
