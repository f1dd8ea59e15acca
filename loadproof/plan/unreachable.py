"""Finds what a scenario asks for but its plan never reaches.

Kinds of users that are in no phase, and rates above the planned ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadproof.errors import Problem
from loadproof.plan.arrivals import arrivals_of
from loadproof.plan.phases import plan_phases
from loadproof.plan.shares import apportion
from loadproof.units import Dimension, format_quantity

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from loadproof.scenario.scenario import Scenario, Threshold


def kinds_without_load(scenario: Scenario, *, where: str) -> Iterator[Problem]:
    """Kinds that get no user or arrival: a small share of few may be none."""
    is_open, shares = scenario.model == "open", {name: mix.share for name, mix in scenario.mix.items()}
    if is_open:
        of_each = arrivals_of(scenario, plan_phases(scenario))
        what, remedy = "there is no such arrival in any phase", "plan more load, give it a larger share, or remove it"
    else:
        of_each = [apportion(phase.users, shares) for phase in scenario.phases if phase.users is not None]
        what, remedy = "there is no such user in any phase", "plan more users, give it a larger share, or remove it"
    total = sum(sum(counts.values()) for counts in of_each) if is_open else scenario.client_total
    for name, share in shares.items():
        if of_each and not any(counts[name] for counts in of_each):
            got = f"{share * 100:.6g} % of {total:,} {'arrivals' if is_open else 'users'}"
            yield Problem(f"{where} mix.{name}", what, remedy, got=got)


def rates_beyond_plan(
    scenario: Scenario, expected: Mapping[tuple[str, str], float], *, where: str
) -> Iterator[Problem]:
    """Thresholds that ask for more than is planned, if each task sends one request; `expected` is as planned."""
    for index, threshold in scenario.numbered_thresholds():
        expectation = threshold.expectation
        if not expectation.metric.kind.is_total or expectation.of_baseline or expectation.window_s is not None:
            continue
        most = _most(scenario, threshold, expected)
        if not expectation.wants_low and not expectation.holds(most):
            planned = format_quantity(most, expectation.metric.dimension)
            remedy = "plan more load, or expect less, or a goodput_ratio"
            what = f"can't be met: the plan has {planned} at most"
            yield Problem(f"{where} thresholds[{index}]", what, remedy, got=threshold.expect)


def _most(scenario: Scenario, threshold: Threshold, expected: Mapping[tuple[str, str], float]) -> float:
    """Requests, or requests per second, if everything goes well."""
    phases = [phase for phase in scenario.phases if phase.name in scenario.phases_of(threshold)]
    # Answers count where they arrive, possibly phases later.
    metric = threshold.expectation.metric
    asking = scenario.phases if metric.kind.is_by_arrival else phases
    planned = sum(
        expected.get((phase.name, endpoint), 0.0) for phase in asking for endpoint in scenario.endpoints_of(threshold)
    )
    # A user may get one turn more than its pace on average; planned arrivals are whole numbers.
    planned += sum(phase.users or 0 for phase in asking) + len(asking) * len(scenario.endpoints_of(threshold))
    if metric.dimension is Dimension.COUNT:
        return planned
    return planned / sum(phase.duration_s for phase in phases)
