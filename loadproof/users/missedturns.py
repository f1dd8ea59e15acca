"""Counts the turns that a user could not take, and the time by which it was itself late."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from loadproof.outcome import BACKED_OFF, MISSED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadproof.users.groups import Groups
    from loadproof.users.turntime import TurnTime
    from loadproof.users.workload import Workload


class MissedTurns:
    """One user's missed turns; each counts as the requests of its latest turn. Times are seconds of the run."""

    def __init__(self, endpoint: str, workload: Workload, turn: TurnTime, groups: Groups) -> None:
        self._endpoint = endpoint
        self._every_s = workload.every_s(endpoint)
        self._deadline_s = workload.habits.deadline_s
        self._has_bursts = workload.has_bursts
        self._time = workload.recorder.user_time
        self._turn = turn
        self._first = workload.requests_of(endpoint)[:1]
        """What a turn sends if none has sent anything yet."""
        self._groups = groups
        self.stopped_s = math.inf
        """When the user was told to stop: it misses no turns from then on."""

    def account_setup(self, expected_s: float, now_s: float) -> None:
        """Account for the setup: answers delay the first turn, but cost no turns if they arrive within the deadline."""
        # Its requests belong to no turn, so missed turns aren't like them.
        self._turn.sent.clear()
        answered_s, until_s = expected_s + self._turn.answering_s, min(now_s, self.stopped_s)
        self._time.late(self._endpoint, answered_s, until_s)
        self._keep_waiting(MISSED, expected_s + self._deadline_s, min(answered_s, until_s))

    def account_overrun(self, begun_s: float, now_s: float, *, took_burst: bool) -> None:
        """Account for a turn that ran into the next: waiting for answers is missed turns, the rest our own lateness."""
        until_s = now_s if now_s < self.stopped_s else self.stopped_s
        free_s = begun_s + self._every_s
        own_s = now_s - begun_s - self._turn.answering_s
        if self._turn.paused_s:
            own_s = self._turn.without_pauses(own_s)
        if own_s > until_s - free_s:
            own_s = until_s - free_s
        if own_s < 0:
            own_s = 0.0
        self._time.overran(self._endpoint, self._would_send, free_s, until_s - own_s, until_s, self._every_s)
        if self._has_bursts:
            self._miss_bursts(MISSED, begun_s, until_s, took_last=took_burst)

    def account_back_off(self, since_s: float, until_s: float) -> None:
        """Account for the turns that it skipped, the first of them at `since_s`, because it was asked to back off."""
        until_s = min(until_s, self.stopped_s)
        self._keep_waiting(BACKED_OFF, since_s, until_s)
        # The skipped turn may itself be a burst.
        self._miss_bursts(BACKED_OFF, math.nextafter(since_s, -math.inf), until_s, took_last=False)

    @property
    def _would_send(self) -> Sequence[str]:
        """What it would have sent at each missed turn: as much as at its last one, groups included."""
        sent = self._turn.sent or self._first
        return [*sent, *self._groups.begun_by(sent)] if self._groups.names else sent

    def _keep_waiting(self, why: str, from_s: float, until_s: float) -> None:
        self._time.kept_waiting(self._would_send, why, from_s, until_s, every_s=self._every_s)

    def _miss_bursts(self, why: str, after_s: float, until_s: float, *, took_last: bool) -> None:
        """Each weighs as much as a turn."""
        for name in self._would_send:
            self._time.missed_bursts(name, why, after_s, until_s, took_last=took_last)
