"""Explains why an expectation decides nothing, or the wrong thing.

No target could meet it, none could violate it, or a worse target meets it sooner.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

from loadproof.histogram import MAX_US
from loadproof.outcome import Outcome
from loadproof.units import Dimension, format_duration

if TYPE_CHECKING:
    from loadproof.scenario.thresholds.expectation import Expectation, Metric

SHORTEST_S: Final = 1e-6
"""Times are whole microseconds."""
_UNKEEPABLE: Final = "can't be met"
_UNBREAKABLE: Final = "can't be violated"
_TRACE: Final = {"error_ratio": "error_ratio < 0.1 %", "goodput_ratio": "goodput_ratio >= 99.9 %"}
"""What to write instead if no errors, or only good answers, are wanted."""


class Longest(NamedTuple):
    """The longest time that a threshold can read, and what limits it."""

    time_s: float = MAX_US * 1e-6
    why: str = "times are measured up to 60 s"


class Vacuity(NamedTuple):
    """Why a threshold says nothing, and what to write instead."""

    what: str
    remedy: str


def wrong_way(expectation: Expectation, outcome: Outcome = Outcome.OK) -> Vacuity | None:
    """None unless a worse target would meet it sooner; refusals may be wanted slow or fast."""
    kind = expectation.metric.kind
    if kind.should_be_high and expectation.wants_low:
        return Vacuity("an upper limit on a value that should be high", "use >=")
    if kind.should_be_low and not expectation.wants_low and outcome is Outcome.OK:
        return Vacuity("a lower limit on a value that should be low", "use <")
    return None


def vacuity(expectation: Expectation, longest: Longest = Longest()) -> Vacuity | None:  # noqa: B008 - it is immutable
    """None if some target meets it and another violates it."""
    metric = expectation.metric
    lowest, highest = (0.0, math.inf) if expectation.of_baseline else _range(metric, longest)
    if expectation.wants_low:
        if expectation.limit < lowest or (expectation.limit == lowest and not _is_reached(expectation)):
            return Vacuity(_UNKEEPABLE, _shown_by_samples(expectation))
        if expectation.limit >= highest:
            return Vacuity(_UNBREAKABLE, f"expect less: {_why_highest(metric, longest)}")
    elif expectation.limit >= highest:
        less = f"expect less: {_why_highest(metric, longest)}"
        remedy = _shown_by_samples(expectation) if metric.kind.is_ratio else less
        return Vacuity(_UNKEEPABLE, remedy)
    elif expectation.limit <= lowest and not _is_left(expectation):
        return Vacuity(_UNBREAKABLE, _at_least(metric))
    return None


def _range(metric: Metric, longest: Longest) -> tuple[float, float]:
    """The lowest and the highest value that an interval can have."""
    if metric.of is not None:
        # A metric may fall by all that it was, a ratio by one; relative growth has no bound.
        return -1.0, 1.0 if metric.of.kind.is_ratio else math.inf
    if metric.objective is not None:
        return 0.0, round(1 / (1 - metric.objective), 6)
    match metric.dimension:
        case Dimension.RATIO:
            return 0.0, 1.0
        case Dimension.DURATION:
            return 0.0 if metric.kind.may_be_zero else SHORTEST_S, longest.time_s
        case _:
            return 0.0, math.inf


def _is_reached(expectation: Expectation) -> bool:
    """Whether the lowest value itself is within the limit.

    Recovery can take no time, and one sender has no spread.
    """
    return expectation.metric.kind.may_be_zero and expectation.comparison == "<="


def _is_left(expectation: Expectation) -> bool:
    """Whether a target with the lowest value violates it.

    A rate or count may really be 0, but samples never prove that a share is.
    """
    return expectation.comparison == ">" and expectation.metric.kind.is_total


def _shown_by_samples(expectation: Expectation) -> str:
    metric = expectation.metric
    if expectation.of_baseline:
        return "expect a part of it that can be, like `1.10 * baseline`"
    if metric.name == "goodput_ratio":
        return (
            f"no number of samples proves that all are good: write the least you accept, like `{_TRACE[metric.name]}`"
        )
    if metric.kind.is_ratio:
        example = _TRACE.get(metric.name, f"{metric.name} < 1 %")
        return f"no number of samples proves that there are none: write the most you accept, like `{example}`"
    if metric.objective is not None:
        return f"no number of samples proves that nothing is spent: write the most you accept, like `{metric} < 1 x`"
    return "every answer takes some time: write a longer one"


def _at_least(metric: Metric) -> str:
    if metric.dimension is Dimension.DURATION:
        return "every answer takes some time: write an upper limit, with <"
    if metric.kind.is_total:
        return "it is never below zero: write the least that you expect"
    example = _TRACE["goodput_ratio"] if metric.name == "goodput_ratio" else f"{metric} >= 1 %"
    return f"it is never below zero: write the least that you expect, like `{example}`"


def _why_highest(metric: Metric, longest: Longest) -> str:
    if metric.dimension is Dimension.DURATION:
        return f"it is {format_duration(longest.time_s)} at most, for {longest.why}"
    if metric.objective is not None:
        return f"it is {1 / (1 - metric.objective):.6g} x at most, when nothing is good"
    return "it is 100 % at most"
