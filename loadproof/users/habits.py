"""How users behave apart from when they send: from a scenario, or the defaults for plain Locust, which has none."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from loadproof.plan.phases import PhaseSpan
from loadproof.scenario.scenario import DEFAULT_MIX, HeaderClients, Scenario, Timeouts
from loadproof.scenario.traffic.usermix import UserMix

if TYPE_CHECKING:
    from loadproof.scenario.traffic.retries import Retries

_PACE_BESIDE_THE_MIX_S: Final = 1.0


@dataclass(frozen=True)
class Habits:
    """Shared by all users of a process; most fields are keys of the scenario."""

    mix: Mapping[str, UserMix]
    clients: Literal["source-address", "shared"] | HeaderClients = "source-address"
    timeouts: Timeouts = field(default_factory=Timeouts)
    deadline_s: float = 1.0
    when_throttled: Literal["honour", "ignore", "stop"] = "honour"
    retries: Retries | None = None
    keeps_to_limits: bool = True
    """Whether users should stay within the limits that the target declares."""

    def pace_s(self, endpoint: str) -> float:
        """Seconds from one turn of a closed-model user to the next."""
        mix = self.mix.get(endpoint)
        return (mix.every if mix else None) or _PACE_BESIDE_THE_MIX_S


def habits_of(scenario: Scenario) -> Habits:
    """The habits of the scenario's users."""
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
"""The single phase of `locust -f locustfiles`: Locust decides how long it lasts, and with how many users."""
