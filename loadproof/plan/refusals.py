"""Finds where a target could refuse requests without violating a threshold.

If that is almost everything, the scenario is rejected; if it is a part, it is only reported: it may be intended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from loadproof.errors import Problem
from loadproof.scenario.contradictions.contradictions import expects_goodput, refusals_break
from loadproof.units import Dimension

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from loadproof.scenario.scenario import Scenario, Threshold

_LEAST_GOOD: Final = 0.01
_LEAST_GOOD_OF_THROTTLED: Final = 0.001
"""A goodput threshold counts if a target that answers a smaller share of the requests violates it.

A scenario that floods a limiter expects fewer good answers, and says so with `expect_throttling`.
"""


def hardly_expected(scenario: Scenario, expected: Mapping[tuple[str, str], float], *, where: str) -> Iterator[Problem]:
    """Traffic whose goodput thresholds hold even if a target refuses almost all of it."""
    least = _LEAST_GOOD_OF_THROTTLED if scenario.expect_throttling else _LEAST_GOOD
    # Just below it, whatever the comparison.
    share = least * (1 - 1e-6)
    read = [threshold for threshold in scenario.thresholds if expects_goodput(threshold)]
    names = []
    for name in scenario.endpoints:
        own = [threshold for threshold in read if name in refusals_break(scenario, threshold)]
        if own and all(_holds_at(scenario, threshold, expected, share) for threshold in own):
            names.append(name)
    if names:
        refused = f"more than {100 * (1 - least):g} % of {', '.join(names)}"
        what = f"a target that refuses {refused} would still meet its goodput thresholds"
        remedy = "expect `goodput_ratio >= 99 %`, or the least that you accept"
        if not scenario.expect_throttling:
            remedy += f"; with `expect_throttling: true`, {100 * _LEAST_GOOD_OF_THROTTLED:g} % is enough"
        yield Problem(f"{where} thresholds", what, remedy)


def refusable(scenario: Scenario, expected: Mapping[tuple[str, str], float], *, where: str) -> Iterator[Problem]:
    """Measured phases without a goodput threshold, and traffic that could be lost within every threshold; a line each.

    `expected` are requests by (phase, endpoint).
    """
    read = [threshold for threshold in scenario.thresholds if expects_goodput(threshold)]
    phases = {name for threshold in read for name in scenario.phases_of(threshold)}
    unread = [phase.name for phase in scenario.phases if not phase.warm_up and phase.name not in phases]
    if unread:
        remedy = f"add `phase: {unread[0]}` with `goodput_ratio >= 99 %`"
        yield Problem(f"{where} thresholds", f"no goodput threshold covers {', '.join(unread)}", remedy)
    lost = []
    for name in scenario.endpoints:
        rooms = [
            _has_room(scenario, threshold, name, expected)
            for threshold in read
            if name in refusals_break(scenario, threshold)
        ]
        if rooms and all(rooms):
            lost.append(name)
    if lost:
        what = f"a target that refuses all of {' or all of '.join(lost)} would still meet its goodput thresholds"
        yield Problem(f"{where} thresholds", what, f"add `endpoint: {lost[0]}` with `goodput_ratio >= 99 %`")


def _has_room(
    scenario: Scenario, threshold: Threshold, endpoint: str, expected: Mapping[tuple[str, str], float]
) -> bool:
    """Whether the threshold still holds if everything else is answered as planned."""
    if scenario.group_of(threshold) is not None:
        # A group comes to nothing without any one of its requests.
        return _holds_at(scenario, threshold, expected, 0.0)
    planned = _planned(scenario, threshold, expected)
    total = sum(planned.values())
    left = (total - planned.get(endpoint, 0.0)) / total if total else 0.0
    return _holds_at(scenario, threshold, expected, left)


def _holds_at(
    scenario: Scenario, threshold: Threshold, expected: Mapping[tuple[str, str], float], share: float
) -> bool:
    """Whether the threshold holds if this share (0-1) of what it reads is answered well."""
    expectation, phases = threshold.expectation, scenario.phases_of(threshold)
    if expectation.metric.dimension is not Dimension.RATE:
        return expectation.holds(share)
    seconds = sum(phase.duration_s for phase in scenario.phases if phase.name in phases)
    return expectation.holds(share * sum(_planned(scenario, threshold, expected).values()) / seconds)


def _planned(scenario: Scenario, threshold: Threshold, expected: Mapping[tuple[str, str], float]) -> dict[str, float]:
    """Requests that a threshold reads, by endpoint; or groups, of which a journey has each once at most."""
    group = scenario.group_of(threshold)
    phases, names = scenario.phases_of(threshold), scenario.endpoints_of(threshold)
    if group is not None:
        fewest = (min(expected.get((phase, name), 0.0) for name in group.requests) for phase in phases)
        return dict.fromkeys(names, sum(fewest))
    return {name: sum(expected.get((phase, name), 0.0) for phase in phases) for name in names}
