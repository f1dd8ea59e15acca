"""How long the target wants a user to stay away, and the turns that it skips meanwhile."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loadproof.users.missedturns import MissedTurns


class BackOff:
    """One user's back-off; times are seconds of the run."""

    def __init__(self, missed: MissedTurns) -> None:
        self._missed = missed
        self.until_s = -math.inf
        """The target asked it to stay away until then; infinite: for good."""
        self.since_s: float | None = None
        """When the first turn that it skips was due; None if it skips none."""
        self._skips_until_s = math.inf
        """Until when it skips turns; kept here because another refusal may come before these have been counted."""

    @property
    def is_for_good(self) -> bool:
        """It was refused, and stops for good: it stays, without turns, because Locust would replace it."""
        return self.until_s == math.inf

    def begin(self, due_s: float) -> None:
        """Skip turns from the one due at `due_s`."""
        self.since_s, self._skips_until_s = due_s, self.until_s

    def end(self, now_s: float) -> None:
        """Account for the turns skipped so far, if any, and skip no more."""
        if self.since_s is not None:
            self._missed.account_back_off(self.since_s, min(now_s, self._skips_until_s))
            self.since_s = None

    def give_up(self, now_s: float, *, stays_until_s: float) -> None:
        """Take no more turns. Those before `stays_until_s` are skipped for certain, later ones if the user stays."""
        self.since_s, self.until_s = now_s, math.inf
        self.end(stays_until_s)
        self.since_s = stays_until_s
