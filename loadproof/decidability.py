"""Expected samples to the thresholds that so few of them can't decide, found before the run instead of after it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from loadproof.errors import Problem
from loadproof.expectation import RATIOS, RESOURCES, Metric
from loadproof.plan import calm_before, plan_phases

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from loadproof.expectation import Expectation
    from loadproof.scenario import Scenario, Threshold

CALM_SECONDS: Final = 10
"""Recovered is who is as before for so many seconds in a row; a shorter calm may be a pause between two waves."""
DRIFT_BATCHES: Final = 6
"""At least so many values make a trend."""
SAMPLES_A_BATCH: Final = 5
"""Of what the target holds."""
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
    if metric.of is not None:
        # Each of the batches has to tell its own value.
        inner = replace(expectation, metric=metric.of)
        return DRIFT_BATCHES * (SAMPLES_A_BATCH if metric.of.name in RESOURCES else samples_needed(inner))
    if metric.objective is not None:
        budget = replace(expectation, metric=Metric("error_ratio"), limit=expectation.limit * (1 - metric.objective))
        return samples_needed(budget)
    if metric.quantile is not None:
        # Rounded first: 10 / (1 - 0.9) is 100.00000000000001 in floating point.
        return math.ceil(round(SAMPLES_BEYOND_QUANTILE / (1 - metric.quantile), 6))
    if metric.name in RATIOS and not expectation.of_baseline:
        room = expectation.limit if expectation.wants_low else 1 - expectation.limit
        return math.floor(_Z**2 * (1 - room) / room) + 1 if 0 < room < 1 else 1
    return 1


def undecidable(scenario: Scenario, expected: Mapping[tuple[str, str], float], *, where: str) -> Iterator[Problem]:
    """A problem for each threshold that even a perfect target could not pass; `expected` by (phase, endpoint)."""
    for index, threshold in enumerate(scenario.thresholds):
        place = f"{where} thresholds[{index}]"
        name = threshold.expectation.metric.name
        if name in {"recovery", "drift"}:
            if len(scenario.phases_of(threshold)) != 1:
                remedy = "name one with `phase:`"
                yield Problem(place, f"{name} is looked for in one phase", remedy, got=threshold.scope)
                continue
            if name == "recovery":
                yield from _unrecoverable(scenario, threshold, where=place)
        samples = samples_expected(scenario, threshold, expected)
        needed = samples_needed(threshold.expectation)
        if samples < needed:
            what = "samples a window" if threshold.expectation.window_s else "samples"
            yield Problem(
                place,
                f"{threshold.expect!r} can't be decided: it needs {needed:,} {what}",
                "plan more requests, pool endpoints or phases, or expect less",
                got=f"{samples:,.0f} to expect",
            )


def _unrecoverable(scenario: Scenario, threshold: Threshold, *, where: str) -> Iterator[Problem]:
    """Recovery is looked for against a calm phase before the trigger, for some seconds in a row."""
    spans = plan_phases(scenario)
    (phase,) = scenario.phases_of(threshold)
    place = next(number for number, span in enumerate(spans) if span.name == phase)
    needed_s = threshold.expectation.limit + CALM_SECONDS
    if calm_before(spans, place) is None:
        what = "nothing to recover to: no measured phase of the same load, or less, ahead of the phase before"
        yield Problem(where, what, "plan a calm phase before the trigger", got=phase)
    elif (duration_s := spans[place].end_s - spans[place].start_s) < needed_s:
        remedy = f"let it last {needed_s:g} s: the limit, and {CALM_SECONDS} s that are as before"
        yield Problem(where, f"phase {phase} is too short to see it", remedy, got=f"{duration_s:g} s")


def samples_expected(scenario: Scenario, threshold: Threshold, expected: Mapping[tuple[str, str], float]) -> float:
    """Requests that a threshold would read, in each window if it has one; of what the target holds one a second."""
    metric, window_s = threshold.expectation.metric, threshold.expectation.window_s
    durations = {phase.name: phase.duration_s for phase in scenario.phases}
    by_phase = {
        phase: sum(expected.get((phase, endpoint), 0.0) for endpoint in scenario.endpoints_of(threshold))
        for phase in scenario.phases_of(threshold)
    }
    if metric.of is not None and metric.of.name in RESOURCES:
        return sum(durations[phase] for phase in by_phase)
    if window_s is not None:
        return min(requests / durations[phase] * window_s for phase, requests in by_phase.items())
    return sum(by_phase.values())
