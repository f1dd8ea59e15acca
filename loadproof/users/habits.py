"""What users go by besides the plan of when they send: from a scenario, or for plain Locust, which has none."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from loadproof.plan.phases import PhaseSpan
from loadproof.scenario.scenario import DEFAULT_MIX, HeaderClients, Scenario, Timeouts
from loadproof.scenario.usermix import UserMix

if TYPE_CHECKING:
    from loadproof.scenario.retries import Retries

_PACE_BESIDE_THE_MIX_S: Final = 1.0


@dataclass(frozen=True)
class Habits:
    """The same for all users of a process; from the scenario's keys, except who sends how much."""

    mix: Mapping[str, UserMix]
    clients: Literal["source-address", "shared"] | HeaderClients = "source-address"
    timeouts: Timeouts = field(default_factory=Timeouts)
    deadline_s: float = 1.0
    when_throttled: Literal["honour", "ignore", "stop"] = "honour"
    retries: Retries | None = None
    keeps_to_limits: bool = True
    """The target's limits, if it declares any."""

    def pace_s(self, endpoint: str) -> float:
        """Seconds from one turn of a closed-model user to the next."""
        mix = self.mix.get(endpoint)
        return (mix.every if mix else None) or _PACE_BESIDE_THE_MIX_S


def habits_of(scenario: Scenario) -> Habits:
    """What the scenario's users go by."""
    return Habits(
        mix=scenario.mix,
        clients=scenario.clients,
        timeouts=scenario.timeouts,
        deadline_s=scenario.deadline,
        when_throttled=scenario.when_throttled,
        retries=scenario.retries,
        keeps_to_limits=not scenario.expect_throttling,
    )


PLAIN: Final = Habits({endpoint: UserMix.model_validate(mix) for endpoint, mix in DEFAULT_MIX.items()})
"""For `locust -f locustfiles`: the default mix at its pace."""
ENDLESS: Final = PhaseSpan(name="all", start_s=0.0, end_s=math.inf, warm_up=False, users=1, rate_rps=None)
"""Its single phase: for as long and with as many users as Locust is told."""
