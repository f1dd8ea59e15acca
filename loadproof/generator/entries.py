"""Enters what somebody else's users sent into the run: each request as it ended, and what its answer kept them from."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from loadproof.generator.heard import headers_of, is_elsewhere, status_of
from loadproof.generator.lives import EARLY_S, Stall, Usual
from loadproof.http.messages import Timing
from loadproof.httpuser.response import LazyResponse
from loadproof.outcome import MISSED, Outcome
from loadproof.plan.pacing import Due
from loadproof.rundir.journal import LONGEST
from loadproof.rundir.rows import ABANDONED, UNREPORTED, WANTS
from loadproof.users.noting import said_of_limits

if TYPE_CHECKING:
    from loadproof.generator.heard import Heard
    from loadproof.generator.lives import AskedRequest, Life
    from loadproof.http.messages import Want
    from loadproof.recording.recorder import Recorder
    from loadproof.users.post import Post

    Answered = tuple[int, str, dict[str, str]]
    """Its status, or 0, its Retry-After, and what else it says of limits."""

_UNANSWERED: Final[Answered] = 0, "", {}
_FEW: Final = 10
"""Requests of a kind of user say how often it usually sends; fewer don't, above all if the target stalls at first."""


class Entries:
    """One per process. Moments are seconds from the run's start."""

    def __init__(self, post: Post) -> None:
        self._post = post
        self._usual: defaultdict[str, Usual] = defaultdict(Usual)
        """By kind of user."""
        self.is_begun = False
        """What comes before and after is set-up."""

    def add_unreported(self, asked: AskedRequest) -> None:
        """It has ended, and nobody says how, or how long it took."""
        due = Due(asked.began_s, is_setup=self._is_setup(asked))
        self._post.recorder.unreported(asked.endpoint, due)
        self._journal(asked.endpoint, UNREPORTED, due, asked.began_s)

    def add_abandoned(self, asked: AskedRequest) -> None:
        """The end of the run cut it off."""
        due, _ = self._due(asked)
        self._post.recorder.started()
        self._post.recorder.abandoned(asked.endpoint, due)
        self._journal(asked.endpoint, ABANDONED, due, asked.began_s)

    def add_timeout(self, asked: AskedRequest) -> None:
        """It was given up now."""
        self.add(asked, Outcome.TIMEOUT, ended_s=self._post.workload().now_s())

    def add_unsent(self, asked: AskedRequest, want: Want) -> None:
        """This machine lacked what it takes to send it."""
        due, _ = self._due(asked)
        self._post.recorder.started()
        self._post.recorder.unsent(asked.endpoint, want, due)
        self._journal(asked.endpoint, WANTS[want], due, asked.began_s)

    def add(self, asked: AskedRequest, outcome: Outcome, *, ended_s: float, heard: Heard | None = None) -> None:
        """A request with an outcome; `heard` is what Locust's event said of it, if there was one."""
        life, endpoint, began_s = asked.life, asked.endpoint, asked.began_s
        recorder, work, timing = self._post.recorder, self._post.workload(), Timing()
        timing.began_s = timing.sent_s = work.start_s + began_s
        timing.ended_s = work.start_s + ended_s
        due, is_first = self._due(asked)
        # First of all, since whatever a client of somebody's own calls its response can raise.
        longest = LONGEST + work.mask.reach
        answered = _answered_with(heard.response, longest) if heard and recorder.journals else _UNANSWERED
        urls = {heard.url, heard.answered_by} if heard else ()
        recorder.started()
        recorder.finished(endpoint, asked.method, outcome, due, timing, heard.body_bytes if heard else 0)
        if any(is_elsewhere(url, work.target.base_url) for url in urls):
            recorder.elsewhere(endpoint, due)
        if outcome is Outcome.INVALID and heard and heard.is_unread:
            recorder.unread(endpoint, due, timing)
        if heard and isinstance(heard.response, LazyResponse) and (of := heard.response.timing).is_marked:
            _note(recorder, endpoint, outcome, due, of)
        self._journal(endpoint, outcome, due, began_s, ended_s=ended_s, answered=answered)
        if life is None:
            return
        life.active_s = max(life.active_s, ended_s)
        life.answering_s += ended_s - began_s
        if life.set_up_s == math.inf:
            life.longest_s = max(life.longest_s, ended_s - began_s)
            late_s = began_s + self._post.workload().habits.deadline_s
            if asked.is_of_task and ended_s > late_s:
                self._usual[life.kind].stalls.append(Stall("", late_s, ended_s))
        if not due.is_setup:
            if is_first:
                life.sent.clear()
            life.sent.append(endpoint)
            self._count_kept(life, endpoint, began_s, ended_s)

    def _journal(
        self,
        endpoint: str,
        outcome: str,
        due: Due,
        began_s: float,
        *,
        ended_s: float | None = None,
        answered: Answered = _UNANSWERED,
    ) -> None:
        """In addition to what counts it; its user has said nothing that could be noted, its answer may have."""
        recorder, work = self._post.recorder, self._post.workload()
        if recorder.journals:
            ended_s = work.now_s() if ended_s is None else ended_s
            moments_s = work.start_s + began_s, work.start_s + ended_s
            status, retry_after, limits = answered
            recorder.ended(("shared", endpoint, due, *moments_s, status, outcome, retry_after, False, None, limits))

    def _due(self, asked: AskedRequest) -> tuple[Due, bool]:
        """What this request's task waited for, if it is the first of a paced user's; else when it began."""
        is_setup, life, began_s = self._is_setup(asked), asked.life, asked.began_s
        if is_setup or life is None:
            return Due(began_s, is_setup=is_setup), False
        is_first, life.has_sent = not life.has_sent, True
        return Due(began_s - life.lag_s if is_first else began_s), is_first

    def _is_setup(self, asked: AskedRequest) -> bool:
        life, began_s = asked.life, asked.began_s
        is_outside = not -EARLY_S <= began_s < self._post.workload().spans[-1].end_s or not self.is_begun
        return is_outside or (life is not None and not life.is_at_work(began_s, is_of_task=asked.is_of_task))

    def _count_kept(self, life: Life, endpoint: str, began_s: float, ended_s: float) -> None:
        """What an unpaced user would have sent, as often as usual, while an answer was later than it may be.

        A paced user's turns say it themselves.
        """
        usual = self._usual[life.kind]
        usual.names[endpoint] += 1
        if life.began_s is not None:
            usual.seconds += max(0.0, began_s - life.began_s - life.kept_s)
            usual.requests += 1
        deadline_s = self._post.workload().habits.deadline_s
        life.began_s, life.kept_s = began_s, max(0.0, ended_s - began_s - deadline_s)
        if life.kept_s and (life.pace_s is None or life.keeps_pace is False):
            from_s = max(began_s + deadline_s, life.kept_until_s)
            life.kept_until_s = max(life.kept_until_s, min(ended_s, self._post.workload().spans[-1].end_s))
            usual.stalls.append(Stall(endpoint, from_s, life.kept_until_s))
        if usual.requests >= _FEW:
            self._end_stalls(usual)

    def end(self) -> None:
        """More than this is not to be known of what is usual."""
        for usual in self._usual.values():
            self._end_stalls(usual)

    def _end_stalls(self, usual: Usual) -> None:
        while usual.stalls and usual.seconds:
            stall, every_s = usual.stalls.pop(), usual.seconds / usual.requests
            names = {stall.endpoint: 1} if stall.endpoint else usual.names
            for name, times in names.items():
                time_ = self._post.recorder.user_time
                every_of_name_s = every_s * sum(names.values()) / times
                time_.kept_waiting([name], MISSED, stall.from_s, stall.until_s, every_s=every_of_name_s)


def _note(recorder: Recorder, endpoint: str, outcome: Outcome, due: Due, of: Timing) -> None:
    """What our own transport noted of it."""
    if of.is_repeated:
        recorder.repeated(endpoint, outcome, due)
    if of.has_surplus:
        recorder.surplus(endpoint, outcome, due)


def _answered_with(response: Any, longest: int) -> Answered:
    headers = headers_of(response)
    return status_of(response) or 0, headers.get("retry-after", "")[:longest], said_of_limits(headers, longest)
