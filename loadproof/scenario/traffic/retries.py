"""A scenario's `retries:`: how often, how soon and after which outcomes a user sends a request again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from loadproof.scenario.strict import Duration, Share, Strict

if TYPE_CHECKING:
    import random

    from loadproof.outcome import Outcome

_Retried = Literal["timeout", "connection", "server_error", "throttled", "invalid"]


class Retries(Strict):
    """Retries with back-off, as in most clients: never at once, and each wait `factor` times as long as the last."""

    times: Annotated[int, Field(ge=1, le=100)] = Field(description="Maximum number of retries after the first attempt.")
    back_off: Duration = Field(description="Wait before the first retry.")
    factor: Annotated[float, Field(ge=1, le=100)] = Field(
        2.0, description="Each wait is this many times as long as the one before."
    )
    most: Duration | None = Field(None, description="Maximum wait.")
    jitter: Share | None = Field(None, description="Shorten each wait at random, by up to this share of it.")
    on: Annotated[list[_Retried], Field(min_length=1)] = Field(
        default=["timeout", "connection", "server_error"], description="Outcomes to retry."
    )

    def follow(self, outcome: Outcome, attempt: int) -> bool:
        """Whether to try again after this outcome; `attempt` counts from 0."""
        return attempt < self.times and outcome in self.on

    def wait_s(self, attempt: int, random: random.Random) -> float:
        """Seconds from the end of this attempt, counted from 0, to the next one."""
        wait_s = self.back_off * self.factor**attempt
        if self.most is not None:
            wait_s = min(wait_s, self.most)
        return wait_s if self.jitter is None else wait_s * (1 - self.jitter * random.random())
