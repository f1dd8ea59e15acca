"""Records requests of plain users: how each ended, and the turns that a late answer cost its user."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from loadproof.generator.plainlocust.heard import headers_of, is_elsewhere, status_of
from loadproof.generator.plainlocust.lives import EARLY_S, Stall, Usual
from loadproof.http.messages import Timing
from loadproof.httpuser.response import LazyResponse
from loadproof.outcome import MISSED, Outcome
from loadproof.plan.pacing import Due
from loadproof.recording.journalrows import EndedRequest
from loadproof.rundir.journal import LONGEST
from loadproof.rundir.rows import ABANDONED, UNREPORTED, WANTS
from loadproof.users.noting import said_of_limits

if TYPE_CHECKING:
    from loadproof.generator.plainlocust.heard import Heard
    from loadproof.generator.plainlocust.lives import Life, PlainRequest
    from loadproof.http.messages import Want
    from loadproof.recording.recorder import Recorder
    from loadproof.users.post import Post

    Answered = tuple[int, str, dict[str, str]]
    """An answer's status, or 0; its Retry-After; and its rate-limit headers."""

_UNANSWERED: Final[Answered] = 0, "", {}
_FEW: Final = 10
"""Requests that it takes to know how often a kind of user usually sends, above all if the target stalls early."""


class Entries:
    """One per process. Times are seconds from the run's start."""

    def __init__(self, post: Post) -> None:
        self._post = post
        self._usual: defaultdict[str, Usual] = defaultdict(Usual)
        """By kind of user."""
        self.is_begun = False
        """The run has begun and not ended; requests before and after it are setup."""

    def add_unreported(self, request: PlainRequest) -> None:
        """The request has ended, but its outcome or duration was not reported."""
        due = Due(request.began_s, is_setup=self._is_setup(request))
        self._post.recorder.unreported(request.endpoint, due)
        self._journal(request.endpoint, UNREPORTED, due, request.began_s)

    def add_abandoned(self, request: PlainRequest) -> None:
        """The end of the run cut off the request."""
        due, _ = self._due(request)
        self._post.recorder.started()
        self._post.recorder.abandoned(request.endpoint, due)
        self._journal(request.endpoint, ABANDONED, due, request.began_s)

    def add_timeout(self, request: PlainRequest) -> None:
        """The request is given up now."""
        self.add(request, Outcome.TIMEOUT, ended_s=self._post.workload().now_s())

    def add_unsent(self, request: PlainRequest, want: Want) -> None:
        """This machine lacked the means to send the request: a port, a file or memory."""
        due, _ = self._due(request)
        self._post.recorder.started()
        self._post.recorder.unsent(request.endpoint, want, due)
        self._journal(request.endpoint, WANTS[want], due, request.began_s)

    def add(self, request: PlainRequest, outcome: Outcome, *, ended_s: float, heard: Heard | None = None) -> None:
        """A request with an outcome; `heard` is Locust's event for it, if there was one."""
        life, endpoint, began_s = request.life, request.endpoint, request.began_s
        recorder, work, timing = self._post.recorder, self._post.workload(), Timing()
        timing.began_s = timing.sent_s = work.start_s + began_s
        timing.ended_s = work.start_s + ended_s
        due, is_first = self._due(request)
        # First of all: the response object of a user's client may raise anything.
        longest = LONGEST + work.mask.reach
        answered = _answered_with(heard.response, longest) if heard and recorder.journals else _UNANSWERED
        urls = {heard.url, heard.answered_by} if heard else ()
        recorder.started()
        recorder.finished(endpoint, request.method, outcome, due, timing, heard.body_bytes if heard else 0)
        if not (is_first or due.is_setup):
            # Due when it began: its start lag of zero says nothing about how late turns are.
            recorder.followed(endpoint, due)
        if any(is_elsewhere(url, work.target.base_url) for url in urls):
            recorder.elsewhere(endpoint, due)
        if outcome is Outcome.INVALID and heard and heard.is_unread:
            recorder.unread(endpoint, due, timing)
        own = heard.response.timing if heard and isinstance(heard.response, LazyResponse) else None
        if own is not None and own.is_marked:
            _note(recorder, endpoint, outcome, due, own)
        is_repeated = own is not None and own.is_repeated
        self._journal(endpoint, outcome, due, began_s, ended_s=ended_s, answered=answered, is_repeated=is_repeated)
        if life is None:
            return
        life.active_s = max(life.active_s, ended_s)
        life.answering_s += ended_s - began_s
        if life.set_up_s == math.inf:
            late_s = began_s + self._post.workload().habits.deadline_s
            if request.is_of_task and ended_s > late_s:
                life.slow_s += ended_s - began_s
                self._usual[life.kind].stalls.append(Stall("", late_s, min(ended_s, life.gone_s)))
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
        is_repeated: bool = False,
    ) -> None:
        """Journal the request, in addition to counting it; notes come from its answer only, never from its user."""
        recorder, work = self._post.recorder, self._post.workload()
        if recorder.journals:
            sent_s = work.start_s + began_s
            ended_s = work.start_s + (work.now_s() if ended_s is None else ended_s)
            status, retry_after, limits = answered
            recorder.ended(
                EndedRequest(
                    "shared", endpoint, due, sent_s, ended_s, status, outcome, retry_after, is_repeated, None, limits
                )
            )

    def _due(self, request: PlainRequest) -> tuple[Due, bool]:
        """When the request was due, and whether it is the first of its task.

        A task's first request is due when its user's pace says so; all others are when they begin.
        """
        is_setup, life, began_s = self._is_setup(request), request.life, request.began_s
        if is_setup or life is None:
            return Due(began_s, is_setup=is_setup), False
        is_first, life.has_sent = not life.has_sent, True
        return Due(began_s - life.lag_s if is_first else began_s), is_first

    def _is_setup(self, request: PlainRequest) -> bool:
        life, began_s = request.life, request.began_s
        is_outside = not -EARLY_S <= began_s < self._post.workload().spans[-1].end_s or not self.is_begun
        return is_outside or (life is not None and not life.is_at_work(began_s, is_of_task=request.is_of_task))

    def _count_kept(self, life: Life, endpoint: str, began_s: float, ended_s: float) -> None:
        """Count what an unpaced user would usually have sent while an answer exceeded its deadline.

        A paced user's missed turns are counted by its pace.
        """
        usual = self._usual[life.kind]
        usual.names[endpoint] += 1
        if life.began_s is not None:
            usual.seconds += max(0.0, began_s - life.began_s - life.kept_s)
            usual.requests += 1
        deadline_s = self._post.workload().habits.deadline_s
        life.began_s, life.kept_s = began_s, max(0.0, ended_s - began_s - deadline_s)
        has_own_pace = life.pace_s is None or life.keeps_pace is False
        if life.kept_s and (has_own_pace or life.keeps_pace is None):
            from_s = max(began_s + deadline_s, life.kept_until_s)
            until_s = min(ended_s, life.gone_s, self._post.workload().spans[-1].end_s)
            life.kept_until_s = max(life.kept_until_s, until_s)
            stall = Stall(endpoint, from_s, life.kept_until_s)
            if has_own_pace:
                usual.stalls.append(stall)
            else:
                usual.unsure.append((life, stall))
        if usual.requests >= _FEW:
            self._end_stalls(usual)

    def end(self) -> None:
        """Count the remaining stalls, with the usual rates as far as they are known."""
        for usual in self._usual.values():
            usual.stalls += [stall for life, stall in usual.unsure if not life.keeps_pace]
            usual.unsure.clear()
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
    """Count what our own transport noted about the request."""
    if of.is_repeated:
        recorder.repeated(endpoint, outcome, due)
    if of.has_surplus:
        recorder.surplus(endpoint, outcome, due)


def _answered_with(response: Any, longest: int) -> Answered:
    headers = headers_of(response)
    return status_of(response) or 0, headers.get("retry-after", "")[:longest], said_of_limits(headers, longest)
