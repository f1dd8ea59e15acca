"""Follows users that know nothing of loadproof: what their clients tell Locust of, to the recorder; and their time.

Such a user says only afterwards what it has sent. What it is waiting for is known of Locust's own HTTP clients; any
other one is trusted to report each request when it ends.
"""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from weakref import WeakKeyDictionary

import gevent
from greenlet import GreenletExit
from locust.contrib.fasthttp import FastHttpUser

from loadproof.generator.heard import Names, outcome_of, status_of
from loadproof.generator.paces import Wait, last_wait, pace_s
from loadproof.http.messages import Request, Timing
from loadproof.internals.locust import body_read, follow_requests, follow_users
from loadproof.outcome import MISSED, Outcome
from loadproof.plan.pacing import Due
from loadproof.users.user import ApiUser
from loadproof.users.workload import THIS_PROCESS

if TYPE_CHECKING:
    from collections.abc import Callable

    from greenlet import greenlet
    from locust import User
    from locust.env import Environment

    from loadproof.recording.recorder import Recorder
    from loadproof.users.workload import Post, Workload

_CLOCKS_DIFFER_S: Final = 0.05
"""By less, the two readings of the clocks do."""
_LONGEST_S: Final = 3600.0


class HeardAnswer(NamedTuple):
    """What is shown of an answer that somebody's own client got."""

    status: int
    body: bytes


@dataclass
class _Life:
    """One user, from its first step on. Moments are seconds from the run's start."""

    kind: str
    pace_s: float | None
    """From one task to the next, where its `wait_time` says so."""
    due_s: float
    """When its task was to begin; at first, the user."""
    waited: Wait | None = None
    """The last wait of a paced user before this task."""
    is_set_up: bool = False
    is_leaving: bool = False
    in_task: bool = False
    has_sent: bool = False
    """In this task."""
    sent: list[str] = field(default_factory=list)
    """Names of what this task, or the last one, has sent."""
    answering_s: float = 0.0
    """How much of this task it waited for answers."""
    untold: list[str] = field(default_factory=list)
    """Names of this task's requests that have ended, and that Locust has not been told of."""
    asked_s: float | None = None
    """Since when it has been waiting for an answer, as far as that is known."""
    active_s: float = 0.0
    """When it last was seen to do something."""
    began_s: float | None = None
    """When its last request did."""
    kept_s: float = 0.0
    """How much longer than the deadline that one took."""


@dataclass
class _Usual:
    """How often users of a kind send if no answer keeps them."""

    seconds: float = 0.0
    requests: int = 0


class Following:
    """One per process whose users are not our own."""

    def __init__(self, environment: Environment, post: Post = THIS_PROCESS) -> None:
        self._post = post
        self._names = Names()
        self._lives: WeakKeyDictionary[greenlet, _Life] = WeakKeyDictionary()
        self._usual: defaultdict[str, _Usual] = defaultdict(_Usual)
        environment.events.request.add_listener(self._hear)
        environment.events.test_start.add_listener(self._limit_waits)
        follow_users(self._live, self._take_turn)
        follow_requests(self._send, timeouts_s=self._timeouts_s)

    @property
    def _work(self) -> Workload:
        return self._post.workload()

    @property
    def _recorder(self) -> Recorder:
        recorder: Recorder = self._work.recorder  # type: ignore[assignment]  # runs have a real one
        return recorder

    def _timeouts_s(self) -> tuple[float, float]:
        timeouts = self._work.habits.timeouts
        return timeouts.connect, timeouts.total

    def _limit_waits(self, **_: Any) -> None:
        """An answer that never comes is none, also for users who would wait for a minute: unless they say so."""
        FastHttpUser.connection_timeout, FastHttpUser.network_timeout = self._timeouts_s()

    def _life(self) -> _Life | None:
        """Of the user whose greenlet this is."""
        return self._lives.get(gevent.getcurrent())

    def _live(self, user: User, run: Callable[[], None]) -> None:
        """A user's life: it begins at the step for which it was made."""
        work, kind = self._work, type(user).__name__
        came_s = work.now_s()
        first_s = work.first_step(came_s)
        life = self._lives[gevent.getcurrent()] = _Life(kind, pace_s(user), due_s=first_s, active_s=first_s)
        self._recorder.user_time.came(kind, came_s)
        leave, user.on_stop = user.on_stop, lambda: self._leave_by(life, leave)  # type: ignore[method-assign]
        try:
            self._post.clock.sleep(max(0.0, first_s - work.now_s()))
            run()
        finally:
            now_s = work.now_s()
            self._end_silence(life, now_s)
            self._recorder.user_time.left(kind, now_s)

    def _leave_by(self, life: _Life, on_stop: Callable[[], None]) -> None:
        life.is_leaving = True
        on_stop()

    def _take_turn(self, user: User, execute: Callable[[], None]) -> None:
        life = self._life()
        if life is None:
            execute()
            return
        self._begin_turn(life, last_wait(user), self._work.now_s())
        try:
            execute()
        finally:
            now_s = self._work.now_s()
            self._end_silence(life, now_s)
            life.in_task, life.active_s = False, now_s
            for endpoint in life.untold:
                self._recorder.unreported(endpoint, Due(life.due_s))
            life.untold.clear()

    def _begin_turn(self, life: _Life, waited: Wait, now_s: float) -> None:
        """A paced user that is free waits for its turn; if it did not have to, answers may have cost it turns."""
        due_s = now_s
        if life.pace_s is not None and life.is_set_up and waited != life.waited:
            due_s -= max(0.0, waited.ended_ago_s())
            if not waited.length_s:
                # What its own code did in that time, it did as it was written.
                answered_s = min(life.active_s, life.due_s + life.answering_s)
                time_ = self._recorder.user_time
                time_.kept_waiting(life.sent, MISSED, life.due_s + life.pace_s, answered_s, every_s=life.pace_s)
        life.waited = waited
        life.due_s, life.active_s = due_s, now_s
        life.is_set_up = life.in_task = True
        life.has_sent, life.answering_s = False, 0.0

    def _end_silence(self, life: _Life, now_s: float) -> None:
        """A task may take its time, but nobody knows what one was doing that told of nothing for so long."""
        silent_since_s = life.active_s + self._work.habits.timeouts.total
        if life.in_task and life.asked_s is None and life.began_s is None and silent_since_s < now_s:
            self._recorder.user_time.late(life.kind, silent_since_s, now_s)

    def _send(self, method: str, name: str, send: Callable[[], Any]) -> Any:
        """A request of one of Locust's clients: known while it lasts, and if it never ends."""
        life = self._life()
        if life is None or life.asked_s is not None:
            return send()
        life.asked_s = self._work.now_s()
        self._recorder.waiting_begins()
        endpoint = self._names.of(method, name)
        try:
            answer = send()
        except GreenletExit:
            self._cut_off(life, endpoint, method)
            raise
        finally:
            is_untold = life.asked_s is not None
            self._answered(life)
        if is_untold:
            # With catch_response, Locust is told at the end of a `with`, if there is one.
            life.untold.append(endpoint)
        return answer

    def _answered(self, life: _Life | None) -> None:
        if life is not None and life.asked_s is not None:
            life.asked_s = None
            self._recorder.waiting_ends()

    def _cut_off(self, life: _Life, endpoint: str, method: str) -> None:
        """Its user was to end: what it had been waiting for longer than it is worth has failed."""
        began_s, now_s = life.asked_s or 0.0, self._work.now_s()
        self._answered(life)
        if now_s - began_s > self._work.habits.deadline_s:
            self._record(life, endpoint, method, Outcome.TIMEOUT, began_s=began_s, ended_s=now_s)
        else:
            due, _ = self._due(life, began_s)
            self._recorder.started()
            self._recorder.abandoned(endpoint, due)

    def _hear(
        self,
        request_type: object,
        name: object,
        response_time: float | None,
        response_length: int | None,
        response: object = None,
        exception: Exception | None = None,
        start_time: float | None = None,
        url: object = None,
        **_: Any,
    ) -> None:
        """Locust's event: a request has ended."""
        life, now_s = self._life(), self._work.now_s()
        asked_s = life.asked_s if life else None
        if life is not None and asked_s is None and life.untold:
            life.untold.pop()
        self._answered(life)
        took_s = max(0.0, float(response_time or 0.0) / 1000)
        began_s = asked_s if asked_s is not None else _began_s(now_s, took_s, start_time)
        endpoint, outcome = self._names.of(request_type, name), outcome_of(response, exception)
        ended_s = min(now_s, began_s + took_s)
        if isinstance(outcome, Outcome):
            size = response_length or 0
            self._record(life, endpoint, str(request_type), outcome, began_s=began_s, ended_s=ended_s, body_bytes=size)
        else:
            self._recorder.started()
            self._recorder.unsent(endpoint, outcome, self._due(life, began_s)[0])
        if exception is not None:
            status = status_of(response)
            answer = None if status is None else HeardAnswer(status, body_read(response))
            self._recorder.failed(endpoint, Request(str(request_type), str(url or name)), answer, exception)

    def _record(
        self,
        life: _Life | None,
        endpoint: str,
        method: str,
        outcome: Outcome,
        *,
        began_s: float,
        ended_s: float,
        body_bytes: int = 0,
    ) -> None:
        recorder, timing, start_s = self._recorder, Timing(), self._work.start_s
        timing.began_s = timing.sent_s = start_s + began_s
        timing.ended_s = start_s + ended_s
        due, is_first = self._due(life, began_s)
        recorder.started()
        recorder.finished(endpoint, method, outcome, due, timing, body_bytes)
        if life is None:
            return
        life.active_s = max(life.active_s, ended_s)
        life.answering_s += ended_s - began_s
        if not due.is_setup:
            if is_first:
                life.sent.clear()
            life.sent.append(endpoint)
            self._count_kept(life, endpoint, began_s, ended_s)

    def _due(self, life: _Life | None, began_s: float) -> tuple[Due, bool]:
        """What this request's task waited for, if it is the first of a paced user's; else when it began."""
        ends_s = self._work.spans[-1].end_s
        is_setup = began_s >= ends_s or (life is not None and (life.is_leaving or not life.is_set_up))
        if is_setup or life is None:
            return Due(began_s, is_setup=is_setup), False
        is_first, life.has_sent = not life.has_sent, True
        return Due(min(life.due_s, began_s) if is_first and life.pace_s is not None else began_s), is_first

    def _count_kept(self, life: _Life, endpoint: str, began_s: float, ended_s: float) -> None:
        """What an unpaced user would have sent, as often as usual, while an answer was later than it may be.

        A paced user's turns say it themselves.
        """
        usual = self._usual[life.kind]
        if life.began_s is not None:
            usual.seconds += max(0.0, began_s - life.began_s - life.kept_s)
            usual.requests += 1
        deadline_s = self._work.habits.deadline_s
        life.began_s, life.kept_s = began_s, max(0.0, ended_s - began_s - deadline_s)
        if life.kept_s and life.pace_s is None and usual.seconds:
            until_s = min(ended_s, self._work.spans[-1].end_s)
            every_s = usual.seconds / usual.requests
            time_ = self._recorder.user_time
            time_.kept_waiting([endpoint], MISSED, began_s + deadline_s, until_s, every_s=every_s)


def _began_s(now_s: float, took_s: float, start_time: float | None) -> float:
    """When a request began of which only the time of day is known, or how long ago it ended at the latest."""
    latest_s = now_s - took_s
    if start_time is None:
        return latest_s
    told_s = now_s - (time.time() - start_time)
    return told_s if -_CLOCKS_DIFFER_S <= latest_s - told_s < _LONGEST_S else latest_s


def follow_strangers(environment: Environment, ours: type[User]) -> None:
    """If there are users of somebody else's."""
    if any(not issubclass(cls, ApiUser | ours) for cls in environment.user_classes):
        Following(environment)
