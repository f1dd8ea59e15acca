"""Turns the trials of a search into its result: the capacity, its interval, what breaks first, what lies beyond."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from loadproof.analysis.capacity.classification import (
    Bound,
    GoalAttributes,
    TrialResult,
    bound_of,
    conditional_throughput,
)
from loadproof.analysis.capacity.halfpoint import half_point
from loadproof.units import three_digits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from loadproof.analysis.estimates.estimate import Estimate
    from loadproof.rundir.trials import GoalLoss, Search, SearchGoal, Trial

ALL: Final = "all goals"
_NEAR: Final = 1.1
"""Goals that fail at up to this multiple of the capacity count as breaking first."""
_FEWEST_NEAR: Final = 4
"""With fewer trials close to the estimate there is no interval."""
_MOST_NEAR: Final = 10
"""At most this many trials close to the estimate narrow its interval: as many as every search makes."""
_SERVED: Final = 0.99
"""Share of the offered load: with less goodput, throughput no longer scales."""


class Found(StrEnum):
    """How a search ended."""

    FOUND = "FOUND"
    ROUGH = "ROUGH"
    """Found between bounds, without an interval."""
    TOO_HIGH = "LOWER END FAILS"
    TOO_LOW = "UPPER END HOLDS"
    UNFINISHED = "UNFINISHED"
    INVALID = "INVALID"
    DIED = "TARGET GONE"


@dataclass(frozen=True)
class GoalCapacity:
    """What the trials show about one goal alone, or about all goals together."""

    goal: str
    attributes: GoalAttributes | None
    """None for all goals together: each has its own loss ratio."""
    lower_rps: float | None
    """The relevant lower bound: the highest load that held, below every load that did not."""
    upper_rps: float | None
    """The relevant upper bound: the lowest load that did not hold."""
    throughput_rps: float | None
    """Conditional throughput, at the relevant lower bound."""
    half: Estimate | None
    """The load at which half of the trials meet the goal; None if every trial met it, or none did."""


@dataclass(frozen=True)
class Capacity:
    found: Found
    why: str
    """Why nothing was found, as a clause; empty if something was."""
    together: GoalCapacity
    goals: tuple[GoalCapacity, ...]
    first: tuple[tuple[str, int], ...]
    """Goals missed in trials at or just above the capacity, with how often; most frequent first."""
    first_outcomes: tuple[tuple[str, int], ...]
    """Outcomes of the bad requests in those trials, most frequent first."""
    knee: Trial | None
    """The trial with the highest load whose goodput still kept up."""
    peak: Trial | None
    """The trial with the most goodput."""
    beyond: Trial | None
    """The trial beyond the capacity."""
    invalid: int
    """The number of invalid trials, which measured the generator."""

    @property
    def value_rps(self) -> float | None:
        """The capacity in arrivals per second; for a rough search the geometric mean of its bounds."""
        if self.found is Found.FOUND and self.together.half is not None:
            return self.together.half.value
        if self.found is Found.ROUGH and self.together.lower_rps and self.together.upper_rps:
            return math.sqrt(self.together.lower_rps * self.together.upper_rps)
        return None


def capacity_of(search: Search, trials: Sequence[Trial], early: tuple[Found, str] | None = None) -> Capacity:
    """The result so far. `early` is how and why the search ended, if it ended before making all of its trials."""
    valid = [trial for trial in trials if trial.is_valid and trial.ending in {"completed", "target_died"}]
    together = _together(search, valid)
    ending, why = early or _found(search, trials, together)
    beyond = next((trial for trial in reversed(valid) if trial.stage == "beyond"), None)
    first, outcomes = _broke_first(valid, together)
    peak = max(valid, key=lambda trial: trial.goodput_rps, default=None)
    served = [one for one in valid if one.offered and one.goodput_rps * one.duration_s >= _SERVED * one.offered]
    return Capacity(
        found=ending,
        why=why,
        together=together,
        goals=tuple(_alone(goal, valid) for goal in search.goals),
        first=first,
        first_outcomes=outcomes,
        knee=max(served, key=lambda trial: trial.load_rps, default=None),
        peak=peak,
        beyond=beyond,
        invalid=sum(not trial.is_valid for trial in trials),
    )


def half_of(search: Search, trials: Iterable[Trial]) -> Estimate | None:
    """The load at which half of the trials so far meet all goals."""
    return _together(search, [trial for trial in trials if trial.is_valid]).half


def _found(search: Search, trials: Sequence[Trial], together: GoalCapacity) -> tuple[Found, str]:
    if not any(trial.is_valid for trial in trials):
        latest = f" ({trials[-1].invalid})" if trials else ""
        return Found.INVALID, f"no trial measured the target{latest}"
    half, near = together.half, sum(trial.is_valid and trial.stage == "repeat" for trial in trials)
    if near >= _FEWEST_NEAR and half is not None and half.low > 0 and math.isfinite(half.high):
        return Found.FOUND, ""
    if together.lower_rps is None:
        which = f": {', '.join(goals)}" if (goals := _missed_lowest(trials)) else ""
        return Found.TOO_HIGH, f"goals already fail at the lower end, {three_digits(search.from_rps)} rps{which}"
    if together.upper_rps is None:
        what = f"every goal still holds at the upper end, {three_digits(together.lower_rps)} rps"
        return Found.TOO_LOW, f"{what}{_why_no_more(search, trials, together.lower_rps)}"
    return Found.ROUGH, ""


def _missed_lowest(trials: Sequence[Trial]) -> list[str]:
    """Goals missed in the latest valid trial at the lowest load."""
    lowest = min(reversed([trial for trial in trials if trial.is_valid]), key=lambda trial: trial.load_rps)
    return [loss.goal for loss in lowest.losses if not loss.is_kept]


def _why_no_more(search: Search, trials: Sequence[Trial], held_rps: float) -> str:
    """The generator's own limit, if it ended the range; otherwise empty."""
    unsent = [trial.invalid for trial in trials if trial.invalid is not None and trial.load_rps > held_rps]
    why = unsent[-1] if unsent else search.ceiling_note
    return f", which is all that this generator could send ({why})" if why else ""


def _together(search: Search, valid: Sequence[Trial]) -> GoalCapacity:
    """All goals as one: a trial that misses any of them has a loss ratio of 1, others of 0."""
    goal = search.goals[0]
    attributes = GoalAttributes(goal.final_trial_s, goal.duration_sum_s, 0.5, goal.exceed_ratio)
    capacity = _capacity(ALL, attributes, valid, lambda trial: 0.0 if trial.is_kept else 1.0)
    throughput = None
    if capacity.lower_rps is not None:
        at = [one for one in valid if one.load_rps == capacity.lower_rps and one.stage == "search"]
        lost = [TrialResult(one.duration_s, 1 - one.goodput_rps * one.duration_s / max(one.offered, 1)) for one in at]
        throughput = conditional_throughput(capacity.lower_rps, lost, attributes)
    return GoalCapacity(ALL, None, capacity.lower_rps, capacity.upper_rps, throughput, capacity.half)


def _alone(goal: SearchGoal, valid: Sequence[Trial]) -> GoalCapacity:
    """One goal, as if it were the only one."""
    attributes = GoalAttributes(goal.final_trial_s, goal.duration_sum_s, goal.loss_ratio, goal.exceed_ratio)
    return _capacity(goal.goal, attributes, valid, lambda trial: _loss(trial, goal.goal))


def _loss(trial: Trial, name: str) -> float:
    if trial.ending != "completed":
        return 1.0
    loss: GoalLoss = next(loss for loss in trial.losses if loss.goal == name)
    return loss.ratio


def _capacity(
    name: str, attributes: GoalAttributes, valid: Sequence[Trial], loss: Callable[[Trial], float]
) -> GoalCapacity:
    by_load: dict[float, list[TrialResult]] = defaultdict(list)
    for trial in valid:
        # Other stages come after the search, at loads that it would not have tried.
        if trial.stage == "search":
            by_load[trial.load_rps].append(TrialResult(trial.duration_s, loss(trial)))
    bounds = {load: bound_of(measured, attributes) for load, measured in by_load.items()}
    upper = min((load for load, bound in bounds.items() if bound is Bound.UPPER), default=math.inf)
    lower = max((load for load, bound in bounds.items() if bound is Bound.LOWER and load < upper), default=None)
    full = [trial for trial in valid if trial.duration_s >= attributes.final_trial_s]
    # More trials are made where the first ones showed little, and must not narrow the interval just by being more.
    near = min(_MOST_NEAR, sum(trial.stage == "repeat" for trial in full) or len(full))
    return GoalCapacity(
        goal=name,
        attributes=attributes,
        lower_rps=lower,
        upper_rps=None if math.isinf(upper) else upper,
        throughput_rps=None if lower is None else conditional_throughput(lower, by_load[lower], attributes),
        half=half_point(
            [trial.load_rps for trial in full], [loss(trial) <= attributes.loss_ratio for trial in full], near=near
        ),
    )


def _broke_first(
    valid: Sequence[Trial], together: GoalCapacity
) -> tuple[tuple[tuple[str, int], ...], tuple[tuple[str, int], ...]]:
    """Missed goals, and outcomes, of the lost trials closest to the capacity."""
    lost = [trial for trial in valid if not trial.is_kept]
    edge = together.half.value if together.half else min((trial.load_rps for trial in lost), default=0.0)
    near = [trial for trial in lost if trial.load_rps <= _NEAR * edge] or sorted(lost, key=lambda one: one.load_rps)[:1]
    goals = Counter(loss.goal for trial in near for loss in trial.losses if not loss.is_kept)
    outcomes: Counter[str] = Counter()
    for trial in near:
        outcomes.update({name: count for name, count in trial.outcomes.items() if name != "ok" and count})
    return tuple(goals.most_common()), tuple(outcomes.most_common())
