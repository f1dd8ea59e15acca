"""Turns a scenario into what a capacity search needs: goals that a short run can be judged by, and those runs; pure.

A goal says which requests count as lost, and what share of them may be: `p(95) < 200 ms` is met if at most 5 % of the
planned requests have no correct answer within 200 ms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from loadproof.outcome import Outcome
from loadproof.scenario.traffic.phase import Phase

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadproof.scenario.scenario import Scenario, Threshold

TRIAL: Final = "trial"
"""The phase of a trial that is measured."""
WARM_UP: Final = "warm-up"
PLACES_OF_S: Final = 3
"""Decimal places of a trial's length, as requested, planned and reported."""
STEPS: Final = (0.25, 0.5, 0.75, 1.0)
"""Shares of the highest load, at which the generator alone is measured."""


_MOST_LOST: Final = 0.99
"""A goal that allows more losses is met by a target that answers almost nothing."""


@dataclass(frozen=True)
class Goal:
    """A threshold as a share of requests that may be lost."""

    threshold: Threshold
    """Without its phases: it applies to the whole trial."""
    loss_ratio: float
    """At most this share may be lost, 0-1."""

    @property
    def wants_answers(self) -> bool:
        """Whether a target that refuses everything misses it: refusals aren't errors, but never correct answers."""
        kind = self.threshold.expectation.metric.kind
        return self.loss_ratio <= _MOST_LOST and (kind.should_be_high or not kind.is_ratio)

    @property
    def name(self) -> str:
        """Like 'balance: p(95) < 200 ms'."""
        endpoint = self.threshold.endpoint
        names = endpoint if isinstance(endpoint, list) else [endpoint] if endpoint else []
        return f"{' + '.join(names)}: {self.threshold.expect}" if names else self.threshold.expect


def goals_of(scenario: Scenario) -> tuple[list[Goal], list[str]]:
    """The goals that the scenario's thresholds set, each once, and the thresholds that set none.

    Thresholds on rates, means, drift or recovery, with windows, on groups or against a baseline set none: no share of
    requests decides them.
    """
    goals: dict[str, Goal] = {}
    others: dict[str, None] = {}
    for threshold in scenario.thresholds:
        allowed = None if scenario.group_of(threshold) is not None else _allowed(threshold)
        if allowed is None:
            others[threshold.expect] = None
        else:
            goal = Goal(threshold.model_copy(update={"phase": None}), allowed)
            goals[goal.name] = goal
    others |= {f"audit of {audit}": None for audit in scenario.audits}
    return list(goals.values()), list(others)


def unread_by(scenario: Scenario, goals: Sequence[Goal]) -> list[str]:
    """Requests that a target could refuse altogether and still meet every goal."""
    read = {name for goal in goals if goal.wants_answers for name in scenario.endpoints_of(goal.threshold)}
    return [name for name in scenario.endpoints if name not in read]


def _allowed(threshold: Threshold) -> float | None:
    expectation = threshold.expectation
    metric = expectation.metric
    if expectation.of_baseline or expectation.window_s is not None:
        return None
    if metric.kind.is_ratio:
        is_of_good = metric.kind.should_be_high
        if expectation.wants_low is is_of_good:
            return None
        return round(1 - expectation.limit, 10) if is_of_good else expectation.limit
    is_response = threshold.outcome is Outcome.OK and threshold.series == "response"
    if not (is_response and expectation.wants_low and metric.name in {"p", "max"}):
        return None
    return round(1 - (metric.quantile or 1.0), 10)


def trial_of(
    scenario: Scenario, goals: Sequence[Goal], *, load_rps: float, warm_up_s: float, duration_s: float
) -> Scenario:
    """The scenario as one trial: its first seconds are warm-up, and no faults are injected."""
    return _with_phases(
        scenario,
        goals,
        [
            _phase(WARM_UP, load_rps, warm_up_s, warm_up=True),
            _phase(TRIAL, load_rps, duration_s),
        ],
    )


def ceiling_of(scenario: Scenario, goals: Sequence[Goal], *, to_rps: float, step_s: float) -> Scenario:
    """The scenario as rising steps up to the highest load, to see what the generator alone can send on time."""
    steps = [_phase(f"{TRIAL}-{number}", share * to_rps, step_s) for number, share in enumerate(STEPS)]
    return _with_phases(scenario, goals, [_phase(WARM_UP, STEPS[0] * to_rps, 1.0, warm_up=True), *steps])


def _phase(name: str, rate_rps: float, duration_s: float, *, warm_up: bool = False) -> Phase:
    return Phase.model_validate(
        {"name": name, "warm_up": warm_up, "rate": f"{rate_rps:.6f} rps", "duration": f"{duration_s:.{PLACES_OF_S}f} s"}
    )


def _with_phases(scenario: Scenario, goals: Sequence[Goal], phases: list[Phase]) -> Scenario:
    thresholds = [goal.threshold for goal in goals]
    return scenario.model_copy(update={"phases": phases, "all_thresholds": thresholds, "faults": [], "record": None})
