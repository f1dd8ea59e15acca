"""Searches for the bounds of a capacity: passes goals and a way to make trials to the MLRsearch library.

Source: RFC 9971; the library is the package MLRsearch 1.2.1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from MLRsearch import AbstractMeasurer, Config, MeasurementResult, MultipleLossRatioSearch, SearchGoal

if TYPE_CHECKING:
    from loadproof.rundir.trials import Search, Trial

_PARTS: Final = 1_000_000
"""Denominator of loss ratios, because the library works with counts."""
Measure = Callable[[float, float], "Trial"]
"""Makes a valid trial, from a load in rps and a duration in s."""


def find_bounds(search: Search, top_rps: float, measure: Measure, *, within_s: float) -> None:
    """Make trials until the bounds between `search.from_rps` and `top_rps` are close enough, or `within_s` is over."""
    goal = search.goals[0]
    wanted = SearchGoal(
        loss_ratio=_common_ratio(search),
        exceed_ratio=goal.exceed_ratio,
        relative_width=goal.width,
        initial_trial_duration=goal.initial_trial_s,
        final_trial_duration=goal.final_trial_s,
        duration_sum=goal.duration_sum_s,
        preceding_targets=1 if goal.initial_trial_s < goal.final_trial_s else 0,
        fail_fast=False,
    )
    config = Config(
        goals=[wanted],
        min_load=search.from_rps,
        max_load=top_rps,
        search_duration_max=within_s,
        warmup_duration=None,
    )
    MultipleLossRatioSearch(config=config).search(measurer=_Measurer(measure, wanted.loss_ratio), debug=_nothing)


class _Measurer(AbstractMeasurer):  # type: ignore[misc]  # the library has no types
    """Makes trials for the library."""

    def __init__(self, measure: Measure, loss_ratio: float) -> None:
        self._measure = measure
        self._loss_ratio = loss_ratio

    def measure(self, intended_duration: float, intended_load: float) -> MeasurementResult:
        trial = self._measure(intended_load, intended_duration)
        return MeasurementResult(
            intended_duration=intended_duration,
            intended_load=intended_load,
            offered_count=_PARTS,
            loss_count=round(_PARTS * common_loss(trial, self._loss_ratio)),
        )


def _common_ratio(search: Search) -> float:
    """The loss ratio that represents all goals: the strictest."""
    return min(goal.loss_ratio for goal in search.goals)


def common_loss(trial: Trial, loss_ratio: float) -> float:
    """The trial's loss ratio for all goals together, 0-1: above `loss_ratio` if and only if any goal was missed.

    For a load that was too high, the share not lost is what the target answered during the trial, however late: an
    overloaded queue answers at its capacity, so the next trial lands near it. The share answered in time would be
    close to nothing.
    """
    if trial.is_kept:
        return 0.0
    if trial.ending != "completed":
        return 1.0
    # More than the limit even after rounding to whole parts.
    least = loss_ratio + 2 / _PARTS
    return min(1.0, max(least, 1 - trial.throughput_rps / trial.load_rps))


def _nothing(_: str) -> None:
    """Discard the library's debug output."""
