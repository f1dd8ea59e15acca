"""Classifies a load by its trials, and computes its conditional throughput.

Source: RFC 9971, appendices A (load classification) and B (conditional throughput).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Bound(StrEnum):
    LOWER = "lower bound"
    UPPER = "upper bound"
    UNDECIDED = "undecided"


class TrialResult(NamedTuple):
    """The parts of a trial that classify its load."""

    duration_s: float
    loss_ratio: float


@dataclass(frozen=True)
class GoalAttributes:
    """When a goal is met; times in s, ratios 0-1."""

    final_trial_s: float
    duration_sum_s: float
    loss_ratio: float
    exceed_ratio: float
    """Below 1."""

    def is_full(self, trial: TrialResult) -> bool:
        """Whether a trial is long enough to count by itself; shorter ones only count against a load."""
        return trial.duration_s >= self.final_trial_s

    def is_lost(self, trial: TrialResult) -> bool:
        return trial.loss_ratio > self.loss_ratio


def bound_of(trials: Sequence[TrialResult], goal: GoalAttributes) -> Bound:
    """The bound that a load is, by all its trials in any order; decided once no trial within the sum can change it."""
    kept_s = sum(trial.duration_s for trial in trials if goal.is_full(trial) and not goal.is_lost(trial))
    lost_s = sum(trial.duration_s for trial in trials if goal.is_full(trial) and goal.is_lost(trial))
    short_kept_s = sum(trial.duration_s for trial in trials if not goal.is_full(trial) and not goal.is_lost(trial))
    short_lost_s = sum(trial.duration_s for trial in trials if not goal.is_full(trial) and goal.is_lost(trial))
    # Short trials that were kept only excuse as many lost ones as the exceed ratio allows.
    excused_s = short_kept_s * goal.exceed_ratio / (1 - goal.exceed_ratio)
    lost_s += max(0.0, short_lost_s - excused_s)
    whole_s = max(kept_s + lost_s, goal.duration_sum_s)
    allowed_s = whole_s * goal.exceed_ratio
    if lost_s > allowed_s:
        return Bound.UPPER
    return Bound.LOWER if whole_s - kept_s <= allowed_s else Bound.UNDECIDED


def conditional_throughput(load_rps: float, trials: Sequence[TrialResult], goal: GoalAttributes) -> float:
    """The throughput of the worst full-length trial that the exceed ratio doesn't excuse, in requests per second.

    0 if there are too few seconds of full-length trials.
    """
    full = sorted((one for one in trials if goal.is_full(one)), key=lambda one: one.loss_ratio)
    whole_s = max(sum(one.duration_s for one in full), goal.duration_sum_s)
    remaining_s = whole_s * (1 - goal.exceed_ratio)
    loss_ratio = 1.0
    for trial in full:
        if remaining_s <= 0:
            break
        loss_ratio = trial.loss_ratio
        remaining_s -= trial.duration_s
    return load_rps * (1 - (1.0 if remaining_s > 0 else loss_ratio))
