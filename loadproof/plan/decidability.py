"""Finds thresholds that the expected samples can't decide, before the run instead of after it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadproof.errors import Problem
from loadproof.plan.evidence import (
    Z,
    confidence_of_each,
    poisson_bounds,
    samples_needed,
    windows_in,
    z_of,
)
from loadproof.plan.phases import plan_phases
from loadproof.plan.recoverability import too_seldom, unrecoverable
from loadproof.plan.windows import shares_of_windows
from loadproof.scenario.thresholds.metrics import RESOURCES
from loadproof.units import Dimension

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from loadproof.scenario.scenario import Scenario, Threshold


def undecidable(scenario: Scenario, expected: Mapping[tuple[str, str], float], *, where: str) -> Iterator[Problem]:
    """A problem for each threshold that even a perfect target could not pass; `expected` is by (phase, endpoint)."""
    for index, threshold in scenario.numbered_thresholds():
        place = f"{where} thresholds[{index}]"
        metric = threshold.expectation.metric
        if metric.kind.from_disturbance:
            yield from unrecoverable(scenario, threshold, where=place)
        z = z_of_threshold(scenario, threshold)
        samples = samples_expected(scenario, threshold, expected)
        if metric.kind.from_disturbance:
            yield from too_seldom(scenario, threshold, samples, where=place)
        needed = samples_needed(threshold.expectation, z)
        if threshold.expectation.window_s is not None and threshold.expectation.metric.dimension is Dimension.RATE:
            yield from _left_to_chance(scenario, threshold, expected, z, where=place)
        if samples < needed:
            what = "samples a window" if threshold.expectation.window_s else "samples"
            remedy, got = "plan more requests, combine endpoints or phases, or relax the threshold", ""
            if _has_ramp(scenario, threshold):
                remedy, got = f"{remedy}; or let the load grow in a warm-up phase", " in the poorest"
            yield Problem(
                place,
                f"{threshold.expect!r} can't be decided: it needs {needed:,} {what}",
                remedy,
                got=f"{samples:,.0f} expected{got}",
            )


def _has_ramp(scenario: Scenario, threshold: Threshold) -> bool:
    """Whether its windows differ by plan, because it reads a phase with a ramp."""
    read = scenario.phases_of(threshold)
    return threshold.expectation.window_s is not None and any(
        phase.ramp for phase in scenario.phases if phase.name in read
    )


def z_of_threshold(scenario: Scenario, threshold: Threshold) -> float:
    """The z of the intervals that the threshold is judged by."""
    window_s = threshold.expectation.window_s
    if window_s is None:
        return Z
    spans = [span for span in plan_phases(scenario) if span.name in scenario.phases_of(threshold)]
    return z_of(confidence_of_each(windows_in(spans, window_s)))


def _left_to_chance(
    scenario: Scenario, threshold: Threshold, expected: Mapping[tuple[str, str], float], z: float, *, where: str
) -> Iterator[Problem]:
    """A problem if even a perfect target's poorest or richest window could miss the limit by chance."""
    expectation = threshold.expectation
    planned, richest = (samples_expected(scenario, threshold, expected, of_windows=end) for end in (min, max))
    is_random = scenario.model == "open" and scenario.arrivals == "poisson"
    fewest = poisson_bounds(planned, z)[0] if is_random else planned
    most = poisson_bounds(richest, z)[1] if is_random else richest
    window_s = expectation.window_s or 1
    low, high = poisson_bounds(fewest, z)[0] / window_s, poisson_bounds(most, z)[1] / window_s
    if not expectation.holds(high if expectation.wants_low else low):
        why, got = "by chance alone", f"{planned:,.0f}"
        if richest - planned >= 1:
            why, got = "as planned and by chance", f"{planned:,.0f} to {richest:,.0f}"
        yield Problem(
            where,
            f"{threshold.expect!r} can't be decided: {why} windows reach from {low:.3g} to {high:.3g} rps",
            "relax the limit, use longer windows, or use goodput_ratio",
            got=f"{got} requests a window",
        )


def samples_expected(
    scenario: Scenario,
    threshold: Threshold,
    expected: Mapping[tuple[str, str], float],
    *,
    of_windows: Callable[[Iterable[float]], float] = min,
) -> float:
    """Requests that a threshold would read: if it has windows, in the poorest of them, or with `max` in the richest.

    For the target's resources, one sample per second.
    """
    metric, window_s = threshold.expectation.metric, threshold.expectation.window_s
    durations = {phase.name: phase.duration_s for phase in scenario.phases}
    group = scenario.group_of(threshold)
    # A journey completes each group at most once.
    endpoints, together = (group.requests, min) if group else (scenario.endpoints_of(threshold), sum)
    by_phase: dict[str, float] = {
        phase: together(expected.get((phase, endpoint), 0.0) for endpoint in endpoints)
        for phase in scenario.phases_of(threshold)
    }
    if metric.of is not None and metric.of.name in RESOURCES:
        return sum(durations[phase] for phase in by_phase)
    if window_s is not None:
        spans = plan_phases(scenario)
        places = [place for place, span in enumerate(spans) if span.name in by_phase]
        ends = [shares_of_windows(spans, place, window_s) for place in places]
        return of_windows(
            by_phase[spans[place].name] * of_windows(shares) for place, shares in zip(places, ends, strict=True)
        )
    return sum(by_phase.values())
