"""Finds what a scenario asks for but its plan never reaches.

Kinds of users that are in no phase, and rates above the planned ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from loadproof.errors import Problem
from loadproof.plan.shares import apportion
from loadproof.units import Dimension, format_quantity

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from loadproof.scenario.scenario import Scenario, Threshold

_TOTALS: Final = frozenset({Dimension.RATE, Dimension.COUNT})


def kinds_without_users(scenario: Scenario, *, where: str) -> Iterator[Problem]:
    """Kinds that get no user in the closed model: a small share of few users may be none."""
    shares = {name: mix.share for name, mix in scenario.mix.items()}
    users = [apportion(phase.users, shares) for phase in scenario.phases if phase.users is not None]
    for name, share in shares.items():
        if users and not any(each[name] for each in users):
            got = f"{share * 100:.6g} % of {scenario.client_total} users"
            remedy = "plan more users, give it a larger share, or remove it"
            yield Problem(f"{where} mix.{name}", "there is no such user in any phase", remedy, got=got)


def rates_beyond_plan(
    scenario: Scenario, expected: Mapping[tuple[str, str], float], *, where: str
) -> Iterator[Problem]:
    """Thresholds that ask for more than is planned, if each task sends one request; `expected` is as planned."""
    for index, threshold in scenario.numbered_thresholds():
        expectation = threshold.expectation
        if expectation.metric.dimension not in _TOTALS or expectation.of_baseline or expectation.window_s is not None:
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
    asking = scenario.phases if metric.kind.counted and metric.kind.counted.by_arrival else phases
    planned = sum(
        expected.get((phase.name, endpoint), 0.0) for phase in asking for endpoint in scenario.endpoints_of(threshold)
    )
    # A user may get one turn more than its pace on average; planned arrivals are whole numbers.
    planned += sum(phase.users or 0 for phase in asking) + len(asking) * len(scenario.endpoints_of(threshold))
    if metric.dimension is Dimension.COUNT:
        return planned
    return planned / sum(phase.duration_s for phase in phases)
