"""Counts the attempts of a request that may be retried, and says whether there is another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadproof.http.messages import WantError
from loadproof.outcome import Outcome

if TYPE_CHECKING:
    from loadproof.scenario.traffic.retries import Retries


class Tries:
    """The attempts of one request."""

    def __init__(self, retries: Retries) -> None:
        self.retries = retries
        self.attempt = 0
        """0 for the first attempt; from 1 on, it is a retry."""
        self.end: tuple[Outcome, Exception | None] = Outcome.OK, None
        """Outcome of the last attempt, and its error."""

    @property
    def has_another(self) -> bool:
        """Whether to retry; never after a failure of our own machine, which isn't the target's."""
        outcome, error = self.end
        return not isinstance(error, WantError) and self.retries.follow(outcome, self.attempt)
