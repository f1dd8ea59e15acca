"""Decides when a closed-model user takes its next turn: at its pace, at bursts, out of step, and after back-offs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from loadproof.plan.pacing import BURST_SPREAD_S, Due

if TYPE_CHECKING:
    from loadproof.users.backoff import BackOff
    from loadproof.users.missedturns import MissedTurns
    from loadproof.users.turntime import TurnTime
    from loadproof.users.workload import Workload

_SOON: Final = 0.5
"""As a share of the pace: a user whose turns last longer may be late again, so it still sends as soon as it is free."""


class Pacer:
    """One user's turns; times are seconds of the run."""

    def __init__(
        self,
        workload: Workload,
        turn: TurnTime,
        missed: MissedTurns,
        back_off: BackOff,
        *,
        every_s: float,
        offset_s: float,
    ) -> None:
        self._workload = workload
        self._turn = turn
        self._missed = missed
        self._back_off = back_off
        self.every_s = every_s
        """From one turn to the next."""
        self.offset_s = offset_s
        """At random within the pace: keeps users who start together from sending together."""
        self.due = Due(0.0)
        """The turn that it takes, or waits for; before the first one, when the user was expected to begin."""
        self._is_in_step = False
        """It took a turn late, as did all users held up by the same outage, and has been in step with them since."""

    def plan_first(self, now_s: float, *, held_s: float) -> None:
        """Plan the first turn: `held_s` from now, and then at a random point within the first pace."""
        first_s = self._workload.first_step(now_s) + held_s + self.offset_s
        self.due = Due(first_s - self.every_s)
        self.plan_next(now_s)

    def plan_next(self, now_s: float) -> None:
        """Plan the next turn, and account for those that it missed during the one that ends now."""
        begun_s, every_s, back_off = self.due.at_s, self.every_s, self._back_off
        if back_off.since_s is not None and not back_off.is_for_good:
            back_off.end(now_s)
        previous_s = begun_s
        if self._is_in_step and now_s < begun_s + _SOON * every_s and not self._workload.has_bursts:
            # Answers are quick again: move it out of step with the others.
            self._is_in_step = False
            previous_s += self.offset_s
        due = self._workload.next_due(every_s, previous_s=previous_s, now_s=now_s, offset_s=self.offset_s)
        if due.late or now_s > begun_s + every_s:
            self._is_in_step = True
            # A burst that it may not take yet is missed: the target told it too late to wait.
            self._missed.account_overrun(begun_s, now_s, took_burst=due.late and due.at_s >= back_off.until_s)
            if due.late and not self._was_kept_from(due, begun_s, now_s):
                due = due._replace(late=False)
        self._turn.restart(self._workload.start_s + now_s)
        away_until_s = back_off.until_s
        if due.at_s < away_until_s:
            if away_until_s < math.inf:
                back_off.begin(due.at_s)
            due = self._workload.due_from(away_until_s, every_s, offset_s=self.offset_s)
        self.due = due

    def _was_kept_from(self, due: Due, begun_s: float, now_s: float) -> bool:
        """Whether answers made it miss the moment of a burst."""
        latest_s = self._workload.bursts_s[(due.burst or 1) - 1] + BURST_SPREAD_S
        return self._turn.was_kept_past(latest_s, begun_s=begun_s, now_s=now_s)
