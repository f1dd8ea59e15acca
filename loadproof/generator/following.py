"""Follows users that know nothing of loadproof: what their clients tell Locust of, to the recorder; and their time.

Such a user says only afterwards what it has sent. What it is waiting for is known of Locust's own HTTP clients; any
other one is trusted to report each request when it ends.
"""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from weakref import WeakKeyDictionary

import gevent
from greenlet import GreenletExit
from locust.contrib.fasthttp import FastHttpUser
from locust.exception import StopTest, StopUser

from loadproof.generator.asking import Asking
from loadproof.generator.beginnings import Beginnings
from loadproof.generator.entries import Entries
from loadproof.generator.heard import Heard, Names, key_of, outcome_of, status_of, told_later
from loadproof.generator.lives import AskedRequest, Life, Untold
from loadproof.generator.paces import last_wait, pace_s
from loadproof.http.messages import Request
from loadproof.httpuser.session import HttpSession
from loadproof.internals.locustclients import body_read, follow_requests
from loadproof.internals.locustevents import hear_requests
from loadproof.internals.locustusers import follow_users, is_stopping
from loadproof.outcome import Outcome
from loadproof.users.post import THIS_PROCESS
from loadproof.users.tokenkeeper import Recorded
from loadproof.users.user import ApiUser

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from greenlet import greenlet
    from locust import User
    from locust.env import Environment

    from loadproof.users.post import Post

_MOST_GENERATIONS: Final = 8
"""Of greenlets that a task begins, each by another one."""
_log = logging.getLogger(__name__)


class HeardAnswer(NamedTuple):
    """What is shown of an answer that somebody's own client got."""

    status: int
    body: bytes


class Following:
    """One per process whose users are not our own."""

    def __init__(self, environment: Environment, post: Post = THIS_PROCESS) -> None:
        self._post = post
        self._names = Names()
        self._entries = Entries(post)
        self._lives: WeakKeyDictionary[greenlet, Life] = WeakKeyDictionary()
        self._asking = Asking(post)
        self._untold: dict[object, Untold] = {}
        """Requests that were answered, and of which Locust has not been told; by what its event will have."""
        self._beginnings = Beginnings()
        self._is_over = False
        hear_requests(environment, self._hear_whatever)
        environment.events.test_start.add_listener(self._begin)
        follow_users(self._live, self._enter_set, self._take_turn)
        follow_requests(self._send, timeouts_s=self._timeouts_s, heirs=(HttpSession,))

    def _timeouts_s(self) -> tuple[float, float]:
        timeouts = self._post.workload().habits.timeouts
        return timeouts.connect, timeouts.total

    def _begin(self, **_: Any) -> None:
        """An answer that never comes is none, also for users who would wait for a minute: unless they say so."""
        FastHttpUser.connection_timeout, FastHttpUser.network_timeout = self._timeouts_s()
        self._is_over, self._entries.is_begun = False, True
        self._post.recorder.at_end(self._end)

    def _end(self) -> None:
        """Whoever still waits, in a greenlet that nobody stopped, waited in vain."""
        for waiting, asked in self._asking.all_asked():
            self._cut_off(waiting, asked)
        for untold in self._untold.values():
            self._entries.add_unreported(untold.asked)
        self._untold.clear()
        self._entries.end()
        self._is_over, self._entries.is_begun = True, False

    def _life(self) -> Life | None:
        """Of the user whose greenlet this is, or who began it."""
        current: Any = gevent.getcurrent()
        life = self._lives.get(current)
        ancestor = current
        for _ in range(_MOST_GENERATIONS if life is None else 0):
            began_by = getattr(ancestor, "spawning_greenlet", None)
            ancestor = began_by() if began_by is not None else None
            if ancestor is None:
                break
            if (life := self._lives.get(ancestor)) is not None:
                self._lives[current] = life
                break
        return life

    def _live(self, user: User, run: Callable[[], None]) -> None:
        """A user's life: it begins at the step for which it was made."""
        work, kind = self._post.workload(), type(user).__name__
        came_s = work.now_s()
        first_s = work.first_step(came_s)
        current: Any = gevent.getcurrent()
        life = self._lives[current] = Life(user, current, kind, pace_s(user), due_s=first_s, active_s=first_s)
        self._post.recorder.user_time.came(kind, came_s)
        leave, user.on_stop = user.on_stop, lambda: self._leave_by(life, leave)  # type: ignore[method-assign]
        try:
            self._post.clock.sleep(max(0.0, first_s - work.now_s()))
            run()
        finally:
            # What it knows holds its greenlet, which would keep both for ever.
            del self._lives[current]
            left_s = work.now_s()
            self._post.recorder.user_time.left(kind, left_s)
            if life.never_began_s(left_s) > min(work.habits.timeouts.total, work.spans[-1].end_s / 2):
                self._post.recorder.user_time.late(kind, first_s, left_s)

    def _leave_by(self, life: Life, on_stop: Callable[[], None]) -> None:
        life.leave(self._post.workload().now_s())
        on_stop()

    def _enter_set(self, _: User, execute: Callable[[], None]) -> None:
        life = self._life()
        try:
            execute()
        except (StopUser, StopTest):
            raise
        except Exception:
            # It hands back, or has failed: what its on_start sends the next time is its user's work.
            if life is not None:
                life.end_set_up(self._post.workload().now_s())
            raise

    def _take_turn(self, user: User, execute: Callable[[], None]) -> None:
        life = self._life()
        if life is None:
            execute()
            return
        user_time, work = self._post.recorder.user_time, self._post.workload()
        life.begin_turn(last_wait(user), work.now_s(), user_time)
        try:
            execute()
        finally:
            life.end_turn(work.now_s(), longest_s=work.habits.timeouts.total, user_time=user_time)
            if self._untold:
                self._give_up_untold(life)

    def _give_up_untold(self, life: Life) -> None:
        """With its task, each `with` of it has ended."""
        own = [key for key, (asked, *_) in self._untold.items() if asked.life is life and asked.is_of_task]
        for key in own:
            self._entries.add_unreported(self._untold.pop(key).asked)

    def _send(self, method: str, name: Callable[[], str], send: Callable[[], Any]) -> Any:
        """A request of one of Locust's clients: known while it lasts, if it never ends, and if nobody reports it."""
        current: Any = gevent.getcurrent()
        life, work = self._life(), self._post.workload()
        now_s = work.now_s()
        is_of_task = life is not None and life.greenlet is current
        if life is not None:
            life.has_client = True
            if is_of_task and now_s < life.leaves_s and now_s >= work.spans[-1].end_s and is_stopping(life.user):
                # Its task would go on for as long as Locust waits for it.
                raise StopUser
        asked = AskedRequest(method, now_s, life, is_of_task, lambda: self._names.of(method, name()))
        self._asking.begin(current, asked)
        try:
            answer = send()
        except BaseException as error:
            self._give_up(current, asked, error)
            raise
        if self._asking.end(current, asked):
            # With catch_response, Locust is told at the end of a `with`, if there is one.
            told = told_later(answer)
            self._untold[key_of(told)] = Untold(asked, work.now_s(), told.get("context"))
        return answer

    def _known(self, heard: Heard) -> tuple[AskedRequest, float] | None:
        """The request that this event tells of, and when it was answered, if one of Locust's clients sent it."""
        current: Any = gevent.getcurrent()
        asked = self._asking.last(current)
        if asked is not None and heard.is_of(asked.method):
            self._asking.end(current, asked)
            return asked, self._post.workload().now_s()
        untold = self._untold.pop(heard.key, None)
        return None if untold is None else (untold.asked, untold.answered_s)

    def _give_up(self, waiting: greenlet, asked: AskedRequest, error: BaseException) -> None:
        """The users' own code did, or Locust, or it was no request at all."""
        if isinstance(error, GreenletExit) and (asked.is_of_task or self._is_leaving(asked.life)):
            self._cut_off(waiting, asked)
        elif not self._asking.end(waiting, asked):
            return
        elif isinstance(error, GreenletExit | gevent.Timeout | TimeoutError):
            self._entries.add_timeout(asked)
        else:
            self._entries.add_unreported(asked)

    def _is_leaving(self, life: Life | None) -> bool:
        """It may end what it began; nobody has to, after the plan."""
        work = self._post.workload()
        leaves_s = math.inf if life is None else life.leaves_s
        return work.now_s() >= min(leaves_s, work.spans[-1].end_s)

    def _cut_off(self, waiting: greenlet, asked: AskedRequest) -> None:
        """Its user was to end: what it had been waiting for longer than it is worth has failed."""
        if not self._asking.end(waiting, asked):
            return
        work = self._post.workload()
        if work.now_s() - asked.began_s > work.habits.deadline_s:
            self._entries.add_timeout(asked)
        else:
            self._entries.add_abandoned(asked)

    def _hear_whatever(self, event: Mapping[str, Any]) -> None:
        """Nothing that an event says may raise where it was fired, nor lose the request."""
        if self._is_over or isinstance(event.get("context"), Recorded):
            return
        try:
            self._hear(Heard.of(event))
        except Exception:  # noqa: BLE001 - of whatever somebody's client put into it
            _log.exception("a request event that can't be understood")
            now_s = self._post.workload().now_s()
            unknown = AskedRequest("-", now_s, None, is_of_task=False, named=lambda: self._names.of("-", "-"))
            self._entries.add_unreported(unknown)

    def _hear(self, heard: Heard) -> None:
        """A request has ended, as Locust's event tells."""
        now_s = self._post.workload().now_s()
        known, ended_s = self._known(heard) or (None, now_s)
        endpoint, outcome = self._names.of(heard.kind, heard.name), outcome_of(heard.response, heard.exception)
        asked = self._told(heard, endpoint, now_s, known)
        if heard.took_s or (heard.took_s is not None and known is None):
            # Of a known one, no time at all is what a clock says that somebody stopped.
            ended_s = min(now_s, asked.began_s + heard.took_s)
        if outcome is Outcome.OK and heard.took_s is None and asked.began_s == now_s:
            # A success that took no time at all would flatter every quantile.
            self._entries.add_unreported(asked)
        elif isinstance(outcome, Outcome):
            self._entries.add(asked, outcome, ended_s=ended_s, heard=heard)
        else:
            self._entries.add_unsent(asked, outcome)
        if heard.exception is not None:
            status = status_of(heard.response)
            answer = None if status is None else HeardAnswer(status, body_read(heard.response))
            self._post.recorder.failed(endpoint, Request(heard.kind, heard.url), answer, heard.exception)

    def _told(self, heard: Heard, endpoint: str, now_s: float, known: AskedRequest | None) -> AskedRequest:
        """A request as its event tells of it, known since it was asked for or only since it has ended."""
        if known is not None:
            return replace(known, method=heard.kind, named=lambda: endpoint)
        life = self._life()
        is_of_task = life is not None and life.greenlet is gevent.getcurrent()
        began_s = self._beginnings.began_s(heard, now_s, life, is_of_task=is_of_task)
        return AskedRequest(heard.kind, began_s, life, is_of_task, lambda: endpoint)


def follow_strangers(environment: Environment, ours: type[User]) -> None:
    """If there are users of somebody else's."""
    if any(not issubclass(cls, ApiUser | ours) for cls in environment.user_classes):
        Following(environment)
