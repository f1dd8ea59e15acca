"""Expected samples to the thresholds that so few of them can't decide, found before the run instead of after it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from loadproof.errors import Problem
from loadproof.units import Dimension

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from loadproof.expectation import Expectation
    from loadproof.scenario import Scenario, Threshold

SAMPLES_BEYOND_QUANTILE: Final = 10
"""A quantile needs so many samples beyond it, or its upper bound is one slow answer."""
_Z: Final = 1.959964
"""Of a 95 % interval."""


def samples_needed(expectation: Expectation) -> int:
    """The fewest samples by which a perfect target could pass.

    A quantile q: n (1 - q) >= 10. A ratio: the Wilson bound at zero (or at all) of n must clear the limit,
    n > z² (1 - limit) / limit. Source: Wilson 1927, doi:10.1080/01621459.1927.10502953.
    """
    metric = expectation.metric
    if metric.quantile is not None:
        # Rounded first: 10 / (1 - 0.9) is 100.00000000000001 in floating point.
        return math.ceil(round(SAMPLES_BEYOND_QUANTILE / (1 - metric.quantile), 6))
    if metric.dimension is Dimension.RATIO and not expectation.of_baseline:
        room = expectation.limit if expectation.wants_low else 1 - expectation.limit
        return math.floor(_Z**2 * (1 - room) / room) + 1 if 0 < room < 1 else 1
    return 1


def undecidable(scenario: Scenario, expected: Mapping[tuple[str, str], float], *, where: str) -> Iterator[Problem]:
    """A problem for each threshold that even a perfect target could not pass; `expected` by (phase, endpoint)."""
    for index, threshold in enumerate(scenario.thresholds):
        samples = samples_expected(scenario, threshold, expected)
        needed = samples_needed(threshold.expectation)
        if samples < needed:
            yield Problem(
                f"{where} thresholds[{index}]",
                f"{threshold.expect!r} can't be decided: it needs {needed:,} samples",
                "plan more requests, pool endpoints or phases, or expect less",
                got=f"{samples:,.0f} to expect",
            )


def samples_expected(scenario: Scenario, threshold: Threshold, expected: Mapping[tuple[str, str], float]) -> float:
    """Requests that a threshold would read."""
    return sum(
        expected.get((phase, endpoint), 0.0)
        for phase in scenario.phases_of(threshold)
        for endpoint in scenario.endpoints_of(threshold)
    )
