"""Finds the stretch of seconds in which a threshold's misses cluster, and describes it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import numpy as np

from loadproof.analysis.estimates.distributions import binomial_tail
from loadproof.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from loadproof.analysis.estimates.misses import Misses
    from loadproof.analysis.frames.traffic import Traffic
    from loadproof.scenario.thresholds.expectation import Expectation

_BY_CHANCE: Final = 0.01
_MOST: Final = 0.9
"""Share of all seconds; a longer stretch is the target's normal behaviour, not an outage."""
_FEWEST: Final = 0.5
"""Share of all misses; with fewer in it, the stretch doesn't explain the result."""
_ALMOST_ALL: Final = 0.9


@dataclass(frozen=True)
class Outage:
    """A stretch of seconds with far more misses than the threshold allows."""

    start_s: int
    end_s: int
    phase: str
    phase_end_s: float
    misses: Misses

    def text(self, traffic: Traffic, expectation: Expectation) -> str:
        """A clause: when the outage began, how long it lasted, and how its requests ended."""
        began = datetime.fromtimestamp(traffic.start_unix_s + self.start_s, UTC)
        lasted = format_duration(self.end_s - self.start_s)
        is_last = self.end_s == int(min(self.phase_end_s, traffic.measured_s))
        where = f", in {self.phase}" if len(traffic.phases) > 1 else ""
        end = f"{self.phase} ended" if where else "the run ended"
        kind = "an outage" if expectation.metric.quantile is None else "a slow stretch"
        return (
            f"{kind} began {format_duration(self.start_s)} into the run{where} ({began:%H:%M:%S} UTC) and lasted "
            f"{f'until {end}, {lasted} later' if is_last else lasted}: {self._endings(traffic, expectation)}"
        )

    def _endings(self, traffic: Traffic, expectation: Expectation) -> str:
        """'324 of 330 requests ended server_error', and the endpoint if nearly all are from one."""
        misses = self.misses
        of = f"of {misses.n:,} requests"
        endpoint, most = next(iter(misses.by("endpoint").items()))
        where = f", of {endpoint}" if most >= _ALMOST_ALL * misses.count and len(traffic.endpoints) > 1 else ""
        if expectation.metric.quantile is not None:
            return f"{misses.count:,} {of} took longer than {expectation.limit_text}{where}"
        outcomes = misses.by("outcome")
        if len(outcomes) == 1:
            (outcome,) = outcomes
            how = f"were {_ENDINGS[outcome]}" if outcome in _ENDINGS else f"ended in {outcome}"
            return f"{misses.count:,} {of} {how}{where}"
        told = ", ".join(f"{count:,} {_ENDINGS.get(outcome, outcome)}" for outcome, count in outcomes.items())
        return f"{misses.count:,} {of} failed ({told}){where}"


_ENDINGS: Final = {
    "ok": "ok, but too late",
    "dropped": "dropped, never sent",
    "missed": "missed, never sent",
    "backed_off": "never sent, because the target had asked to wait",
}


def outage_of(misses: Misses | None, traffic: Traffic) -> Outage | None:
    """The stretch in which misses cluster; None if they are spread evenly, or no more than chance explains."""
    if misses is None or not misses.seconds.numbers.size:
        return None
    hits, sizes = misses.by_second()
    numbers = misses.seconds.numbers
    start, end = _worst_stretch(hits - misses.bound * sizes, numbers)
    n, length = int(numbers.size), end - start
    inside = int(hits[start:end].sum()), int(sizes[start:end].sum())
    is_chance = binomial_tail(*inside, misses.bound) * n * (n + 1) / 2 > _BY_CHANCE
    if length == 0 or length > _MOST * n or inside[0] < _FEWEST * hits.sum() or is_chance:
        return None
    span = traffic.phases[misses.seconds.phases[start]]
    first, last = int(numbers[start]), int(numbers[end - 1]) + 1
    return Outage(first, last, span.name, span.end_s, misses.between(first, last))


def _worst_stretch(excess: NDArray[np.float64], numbers: NDArray[np.int64]) -> tuple[int, int]:
    """The range of consecutive seconds with the largest sum; an empty one if none is above 0.

    Source: Kadane's algorithm, in Bentley 1984, doi:10.1145/358234.381162.
    """
    best, worst = 0.0, (0, 0)
    start, total = 0, 0.0
    follows: Sequence[bool] = (np.diff(numbers, prepend=numbers[0] - 1) == 1).tolist()
    for place, (value, is_next) in enumerate(zip(excess.tolist(), follows, strict=True)):
        if total <= 0 or not is_next:
            start, total = place, 0.0
        total += value
        if total > best:
            best, worst = total, (start, place + 1)
    return worst
