"""Counts the attempts of one request that a user may send again, and says whether there is another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadproof.http.messages import WantError
from loadproof.outcome import Outcome

if TYPE_CHECKING:
    from loadproof.scenario.retries import Retries


class Tries:
    """Of one request; another one that its user sends meanwhile has its own."""

    def __init__(self, retries: Retries) -> None:
        self.retries = retries
        self.attempt = 0
        """From 1 on, it is a retry."""
        self.end: tuple[Outcome, Exception | None] = Outcome.OK, None
        """Of the last attempt."""

    @property
    def has_another(self) -> bool:
        """Whether it is sent again. What our own machine kept from being sent is no failure of the target's."""
        outcome, error = self.end
        return not isinstance(error, WantError) and self.retries.follow(outcome, self.attempt)
