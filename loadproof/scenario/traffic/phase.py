"""Phases of a scenario, as they are written: how much load, for how long."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from loadproof.scenario.strict import Duration, Name, Rate, Strict

Users = Annotated[int, Field(ge=1, le=100_000)]


class Burst(Strict):
    """All users send one request at the same instant."""

    times: Annotated[int, Field(ge=1, le=1000)]
    every: Duration


class Phase(Strict):
    """A part of the plan with one level: of users in the closed model, of arrivals per second in the open one."""

    name: Name
    duration: Duration | None = Field(None, description="Length of the phase; for bursts, it is `times` x `every`.")
    warm_up: bool = Field(default=False, description="Thresholds ignore a warm-up phase.")
    users: Users | None = Field(None, description="Closed model: concurrent users.")
    rate: Rate | None = Field(None, description="Open model: arrivals per second.")
    ramp: Duration | None = Field(None, description="Change linearly from the previous level to this one in this time.")
    burst: Burst | None = Field(None, description="Closed model: users send at the same moment instead of at a pace.")

    @property
    def duration_s(self) -> float:
        """For a phase of bursts, the sum of its bursts' intervals."""
        if self.burst is not None:
            return self.burst.times * self.burst.every
        return self.duration or 0.0
