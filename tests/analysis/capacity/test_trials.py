"""What a trial's run shows about its goals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from loadproof.analysis.capacity.trials import ceiling_in, trial_in
from loadproof.analysis.frames.failures import RaisedException
from loadproof.plan.trials import ceiling_of, goals_of, trial_of
from simulation.stairs import stairs
from simulation.traffic import poisson, run_of

if TYPE_CHECKING:
    from loadproof.analysis.frames.run import Run

PLAN = stairs(
    deadline="500 ms",
    thresholds=[{"expect": "p(90) < 100 ms"}, {"expect": "error_ratio < 5 %"}, {"expect": "goodput_ratio >= 98 %"}],
)
GOALS, _ = goals_of(PLAN)


def run(slow: int, wrong: int, *, of: int = 1000, duration_s: float = 10.0) -> Run:
    """A trial of 1,000 requests after an all-bad warm-up: `slow` of them take 200 ms, `wrong` end in a 500."""
    trial = trial_of(PLAN, GOALS, load_rps=of / 10, warm_up_s=2, duration_s=duration_s)
    at_s = poisson(np.random.default_rng(1), trial)
    takes_s, outcomes = np.full(at_s.size, 0.02), np.full(at_s.size, "ok", dtype="<U20")
    outcomes[at_s < 2] = "server_error"
    counted = np.flatnonzero(at_s >= 2)
    takes_s[counted[:slow]] = 0.2
    outcomes[counted[slow : slow + wrong]] = "server_error"
    return replace(run_of(trial, at_s, takes_s, outcomes), path=Path("trials/this-one"))


def test_a_goal_loses_wrong_and_late_answers_but_none_of_the_warm_up():
    """A quantile loses both; a wrong answer within the limit doesn't count as in time."""
    trial = trial_in(run(slow=60, wrong=30), GOALS, number=3, stage="repeat")
    assert [(loss.goal, loss.lost, loss.of) for loss in trial.losses] == [
        ("p(90) < 100 ms", 90, 1000),
        ("error_ratio < 5 %", 30, 1000),
        ("goodput_ratio >= 98 %", 30, 1000),
    ]
    assert [loss.is_kept for loss in trial.losses] == [True, True, False]
    assert not trial.is_kept
    assert trial.worst.goal == "goodput_ratio >= 98 %"
    assert (trial.number, trial.stage, trial.run, trial.load_rps, trial.duration_s) == (
        *(3, "repeat", "this-one"),
        *(100.0, 10.0),
    )
    assert (trial.offered, trial.goodput_rps, trial.outcomes["server_error"]) == (1000, 97.0, 30)
    assert trial.throughput_rps == pytest.approx(97, abs=2)
    assert trial.is_valid, trial.invalid


@pytest.mark.parametrize("duration_s", [1.3, 1.8, 3.1, 7.2])
def test_a_trial_is_exactly_as_long_as_requested(duration_s):
    """To the last bit: a shorter one is no full trial, and a load that held would count as undecided."""
    assert (2 + duration_s) - 2 < duration_s
    assert trial_in(run(0, 0, duration_s=duration_s), GOALS, number=1, stage="search").duration_s == duration_s


def test_a_late_generator_makes_the_trial_invalid():
    """Whatever its goals say."""
    slow = run(slow=0, wrong=0)
    starved = replace(slow, generator=slow.generator.assign(loop_delay_s=2.0))
    trial = trial_in(starved, GOALS, number=1, stage="search")
    assert not trial.is_valid
    assert "event loop stalled" in trial.invalid


@pytest.mark.parametrize(("slow", "times", "is_valid"), [(0, 300, False), (0, 5, True), (600, 300, True)])
def test_a_trial_held_only_because_users_broke_off_shows_nothing(slow, times, is_valid):
    """Whatever they would have sent after an exception is missing; a trial that was lost all the same stays lost."""
    raised = (RaisedException(times=times, message="IndexError: list index out of range", place="buy.py, line 9"),)
    trial = trial_in(replace(run(slow, wrong=0), raised=raised), GOALS, number=1, stage="search")
    assert trial.is_valid is is_valid
    assert is_valid or "the users' own code raised 300 exceptions" in trial.invalid
    assert trial.is_kept is (slow == 0)


@pytest.mark.parametrize(("failed", "is_valid"), [(1, True), (50, False)])
def test_a_trial_held_although_users_did_not_start_shows_nothing(failed, is_valid):
    """Users whose on_start failed may send less than intended."""
    held = run(slow=0, wrong=0)
    row = held.intervals[held.intervals["series"] == "response"].iloc[[0]]
    counts = {"ok": 100 - failed, "timeout": failed}
    setup = pd.concat([row.assign(outcome=outcome, count=count) for outcome, count in counts.items()])
    sent = held.generator["sent"].where(held.generator["second"] != 3, held.generator["sent"] + 100)
    trial = trial_in(
        replace(held, setup=setup, generator=held.generator.assign(sent=sent)), GOALS, number=1, stage="search"
    )
    assert trial.is_valid is is_valid, trial.invalid
    assert is_valid or "on_start, on_stop and authentication" in trial.invalid


@pytest.mark.parametrize(("late_from_s", "ceiling_rps"), [(np.inf, 400.0), (8, 200.0), (1, 0.0)])
def test_the_ceiling_is_the_last_step_that_was_sent_on_time(late_from_s, ceiling_rps):
    """With what disturbed the next one; empty if there was no next one."""
    steps = ceiling_of(PLAN, GOALS, to_rps=400, step_s=3)
    at_s = poisson(np.random.default_rng(1), steps)
    alone = run_of(steps, at_s, np.full(at_s.size, 0.001))
    delays = np.where(alone.generator["second"] >= late_from_s, 0.5, 0.0)
    found_rps, why = ceiling_in(replace(alone, generator=alone.generator.assign(loop_delay_s=delays)))
    assert found_rps == ceiling_rps
    assert ("event loop stalled" in why) is (ceiling_rps < 400)
