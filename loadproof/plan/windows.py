"""Computes how much of a phase's load falls into its windows of whole seconds: ramps and bursts make them unequal."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

from loadproof.plan.phases import expected_arrivals, users_asked_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadproof.plan.phases import PhaseSpan


def shares_of_windows(spans: Sequence[PhaseSpan], place: int, window_s: float) -> tuple[float, float]:
    """The smallest and the largest share of a phase's planned requests that one of its windows has.

    (0, 0) if its whole seconds are too few for one.
    """
    seconds = range(math.ceil(spans[place].start_s), math.floor(spans[place].end_s))
    length = math.ceil(window_s)
    if len(seconds) < length:
        return 0.0, 0.0
    sums = [0.0, *itertools.accumulate(load_in(spans, place, second) for second in seconds)]
    windows = [until - since for since, until in zip(sums, sums[length:], strict=False)]
    whole = _load_of(spans, place)
    return min(windows) / whole, max(windows) / whole


def _level_before(spans: Sequence[PhaseSpan], place: int) -> float:
    return (spans[place - 1].rate_rps or 0.0) if place else 0.0


def _load_of(spans: Sequence[PhaseSpan], place: int) -> float:
    """The whole phase's load in the units of `load_in`; user-seconds ignore the ramp, as the expected requests do."""
    span = spans[place]
    if span.rate_rps is not None:
        return expected_arrivals(span, _level_before(spans, place))
    return (span.users or 0) * (len(span.bursts_s) or span.end_s - span.start_s)


def load_in(spans: Sequence[PhaseSpan], place: int, second: int) -> float:
    """What this phase has planned for one second, in arrivals, users at bursts, or user-seconds."""
    span = spans[place]
    if span.rate_rps is not None:
        before_rps = _level_before(spans, place)
        middle_s = second + 0.5 - span.start_s
        progress = min(1.0, middle_s / span.ramp_s) if span.ramp_s else 1.0
        return before_rps + (span.rate_rps - before_rps) * progress
    if span.bursts_s:
        return (span.users or 0) * sum(second <= at_s < second + 1 for at_s in span.bursts_s)
    return users_asked_at(spans, second)
