"""What users go by besides the plan of when they send: of a scenario, or of plain Locust, which has none."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from loadproof.plan.phases import PhaseSpan
from loadproof.scenario.scenario import DEFAULT_MIX, HeaderClients, Scenario, Timeouts, UserMix

_PACE_BESIDE_THE_MIX_S: Final = 1.0


@dataclass(frozen=True)
class Habits:
    """The same for all users of a process; keys of a scenario's, but for who sends how much."""

    mix: Mapping[str, UserMix]
    clients: Literal["source-address", "shared"] | HeaderClients = "source-address"
    timeouts: Timeouts = field(default_factory=Timeouts)
    deadline_s: float = 1.0
    when_throttled: Literal["honour", "ignore", "stop"] = "honour"
    keeps_to_limits: bool = True
    """Of the target, where it declares some."""

    def pace_s(self, endpoint: str) -> float:
        """How long a user of the closed model takes from one turn to the next."""
        mix = self.mix.get(endpoint)
        return (mix.every if mix else None) or _PACE_BESIDE_THE_MIX_S


def habits_of(scenario: Scenario) -> Habits:
    """What its users go by."""
    return Habits(
        mix=scenario.mix,
        clients=scenario.clients,
        timeouts=scenario.timeouts,
        deadline_s=scenario.deadline,
        when_throttled=scenario.when_throttled,
        keeps_to_limits=not scenario.expect_throttling,
    )


PLAIN: Final = Habits({endpoint: UserMix.model_validate(mix) for endpoint, mix in DEFAULT_MIX.items()})
"""Of `locust -f locustfiles`: the default mix at its pace."""
ENDLESS: Final = PhaseSpan(name="all", start_s=0.0, end_s=math.inf, warm_up=False, users=1, rate_rps=None)
"""Its one phase: for as long and with as many users as Locust is told."""
