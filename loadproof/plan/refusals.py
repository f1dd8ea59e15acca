"""Finds where a target could refuse requests without breaking a threshold: reported, because it may be intended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadproof.errors import Problem
from loadproof.scenario.contradictions import expects_goodput
from loadproof.units import Dimension

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from loadproof.scenario.scenario import Scenario, Threshold


def refusable(scenario: Scenario, expected: Mapping[tuple[str, str], float], *, where: str) -> Iterator[Problem]:
    """Measured phases without a goodput threshold, and traffic that every threshold leaves room to lose; a line each.

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
            if name in scenario.endpoints_of(threshold)
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
    expectation, phases = threshold.expectation, scenario.phases_of(threshold)
    planned = {
        name: sum(expected.get((phase, name), 0.0) for phase in phases) for name in scenario.endpoints_of(threshold)
    }
    total = sum(planned.values())
    left = (total - planned.get(endpoint, 0.0)) / total if total else 0.0
    if expectation.metric.dimension is Dimension.RATE:
        seconds = sum(phase.duration_s for phase in scenario.phases if phase.name in phases)
        return expectation.holds(left * total / seconds)
    return expectation.holds(left)
