"""Times several requests of a journey as one: from the first to the last, with a single outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadproof.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from loadproof.http.messages import Timing
    from loadproof.plan.pacing import Due
    from loadproof.recording.requestlistener import RequestListener


class _Open:
    """A group that has begun: its remaining requests, and when it was due and began."""

    __slots__ = ("ahead", "began_s", "due", "sent_s")

    def __init__(self, ahead: list[str], due: Due, timing: Timing) -> None:
        self.ahead = ahead
        """Names of the remaining requests, the next one last."""
        self.due = due
        self.began_s, self.sent_s = timing.began_s, timing.sent_s


class Groups:
    """The groups of one user. A group begins with its first request and ends with its last, or the first not `ok`.

    Requests in between that don't belong to it, or that are repeated, only add their time.
    """

    def __init__(self, groups: Mapping[str, tuple[str, ...]], recorder: RequestListener) -> None:
        """`groups` maps a group's name to the names of its requests, in order."""
        self.names = tuple(groups)
        self._groups = groups
        self._recorder = recorder
        self._open: dict[str, _Open] = {}

    def begun_by(self, sent: Sequence[str]) -> list[str]:
        """Names of the groups that begin with one of these requests, whatever its outcome."""
        return [group for name in sent for group, requests in self._groups.items() if requests[0] == name]

    def saw(
        self,
        name: str,
        outcome: Outcome,
        due: Due,
        timing: Timing,
        *,
        is_unsent: bool = False,
        has_retry: bool = False,
    ) -> None:
        """A request has ended, or this machine lacked something to send it with; setup belongs to no group.

        If it will be retried, the retry decides the outcome, and every attempt is part of the group's time.
        """
        if is_unsent:
            self.forget()
        if is_unsent or due.is_setup:
            return
        for group, requests in self._groups.items():
            is_open = group in self._open
            if not is_open and name == requests[0]:
                self._open[group] = _Open(list(reversed(requests)), due, timing)
            if group in self._open and name in requests and not has_retry:
                self._advance(group, name, outcome, timing.ended_s)

    def _advance(self, group: str, name: str, outcome: Outcome, ended_s: float) -> None:
        ahead = self._open[group].ahead
        if ahead[-1] == name:
            ahead.pop()
        if outcome is not Outcome.OK or not ahead:
            self._end(group, outcome, ended_s)

    def forget(self) -> None:
        """Drop the open groups: our own stop, or our own shortage, cut the journey off, so their outcome is unknown."""
        self._open.clear()

    def leave(self, now_s: float) -> None:
        """The turn ended at `now_s`, monotonic: groups that are still open never complete, and count as invalid."""
        for group in list(self._open):
            self._end(group, Outcome.INVALID, now_s)

    def _end(self, group: str, outcome: Outcome, ended_s: float) -> None:
        begun = self._open.pop(group)
        self._recorder.grouped(group, outcome, begun.due, began_s=begun.began_s, sent_s=begun.sent_s, ended_s=ended_s)
