"""Follows users that know nothing of loadproof: records the requests that their clients report, and their time.

Such a user reports a request only after it has ended. For Locust's own HTTP clients, requests in flight are known; any
other client is trusted to report each request when it ends.
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

from loadproof.generator.plainlocust.beginnings import Beginnings
from loadproof.generator.plainlocust.entries import Entries
from loadproof.generator.plainlocust.heard import Heard, Names, event_to_come, key_of, outcome_of, status_of
from loadproof.generator.plainlocust.inflight import InFlight
from loadproof.generator.plainlocust.lives import Life, PlainRequest, Unreported
from loadproof.generator.plainlocust.paces import last_wait, pace_s
from loadproof.http.messages import Request
from loadproof.httpuser.session import HttpSession
from loadproof.internals.locustclients import body_read, follow_requests
from loadproof.internals.locustevents import hear_requests
from loadproof.internals.locustusers import follow_users, is_stopping, set_aside, take_back
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
"""How many generations of greenlets, each spawned by the one before, are traced back to their user."""
_log = logging.getLogger(__name__)


class HeardAnswer(NamedTuple):
    """The part of a plain user's answer that is shown."""

    status: int
    body: bytes


class Following:
    """One per process with plain users."""

    def __init__(self, environment: Environment, post: Post = THIS_PROCESS) -> None:
        self._post = post
        self._names = Names()
        self._entries = Entries(post)
        self._lives: WeakKeyDictionary[greenlet, Life] = WeakKeyDictionary()
        self._in_flight = InFlight(post)
        self._unreported: dict[object, Unreported] = {}
        """Requests that were answered but not yet reported to Locust, by the key that their event will have."""
        self._beginnings = Beginnings()
        self._is_over = False
        hear_requests(environment, self._hear_whatever)
        environment.events.test_start.add_listener(self._begin)
        follow_users(self._live, self._enter_set, self._take_turn, self._told_to_leave)
        follow_requests(self._send, timeouts_s=self._timeouts_s, heirs=(HttpSession,))

    def _timeouts_s(self) -> tuple[float, float]:
        timeouts = self._post.workload().habits.timeouts
        return timeouts.connect, timeouts.total

    def _begin(self, **_: Any) -> None:
        """Give Locust's clients the scenario's timeouts, unless a user sets its own; by default they wait a minute."""
        FastHttpUser.connection_timeout, FastHttpUser.network_timeout = self._timeouts_s()
        self._is_over, self._entries.is_begun = False, True
        self._post.recorder.at_end(self._end)

    def _end(self) -> None:
        """Record the requests that are still waited for, in greenlets that were not stopped."""
        for waiting, request in self._in_flight.all():
            self._cut_off(waiting, request)
        for unreported in self._unreported.values():
            self._entries.add_unreported(unreported.request)
        self._unreported.clear()
        self._entries.end()
        self._is_over, self._entries.is_begun = True, False

    def _life(self) -> Life | None:
        """The life of the user that this greenlet belongs to, or that spawned it."""
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
        """Run a user's life, beginning at the step for which the user was created."""
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
            # A life references its greenlet, the weak key: left alone, neither would ever be freed.
            del self._lives[current]
            left_s = work.now_s()
            self._let_go(life, left_s)
            if life.never_began_s(left_s) > min(work.habits.timeouts.total, work.spans[-1].end_s / 2):
                self._post.recorder.user_time.late(kind, first_s, life.gone_s)

    def _leave_by(self, life: Life, on_stop: Callable[[], None]) -> None:
        now_s = self._post.workload().now_s()
        if life.leave(now_s):
            set_aside(life.user)
            self._let_go(life, now_s)
        on_stop()

    def _told_to_leave(self, user: User) -> None:
        if (life := self._lives.get(user.greenlet)) is not None:
            self._let_go(life, self._post.workload().now_s())

    def _let_go(self, life: Life, now_s: float) -> None:
        """It is no longer one of the users present; later, it is neither late nor does it stand in for others."""
        if life.gone_s == math.inf:
            life.gone_s = now_s
            self._post.recorder.user_time.left(life.kind, now_s)

    def _come_back(self, life: Life) -> None:
        """Its own code has called its `on_stop`, outside of a task, and it goes on."""
        self._post.recorder.user_time.came_back(life.kind, life.gone_s, self._post.workload().now_s())
        life.gone_s = math.inf
        take_back(life.user)

    def _enter_set(self, _: User, execute: Callable[[], None]) -> None:
        life = self._life()
        try:
            execute()
        except (StopUser, StopTest):
            raise
        except Exception:
            # The set was left, or has failed: when entered again, what its `on_start` sends is no longer setup.
            if life is not None:
                life.end_set_up(self._post.workload().now_s())
            raise

    def _take_turn(self, user: User, execute: Callable[[], None]) -> None:
        life = self._life()
        if life is None:
            execute()
            return
        user_time, work = self._post.recorder.user_time, self._post.workload()
        if life.gone_s < math.inf and not is_stopping(user):
            self._come_back(life)
        life.begin_turn(last_wait(user), work.now_s(), user_time)
        try:
            execute()
        finally:
            life.end_turn(work.now_s(), longest_s=work.habits.timeouts.total, user_time=user_time)
            if self._unreported:
                self._give_up_unreported(life)

    def _give_up_unreported(self, life: Life) -> None:
        """Record requests of an ended task that were never reported: all its `with` blocks have ended."""
        own = [key for key, (request, *_) in self._unreported.items() if request.life is life and request.is_of_task]
        for key in own:
            self._entries.add_unreported(self._unreported.pop(key).request)

    def _send(self, method: str, name: Callable[[], str], send: Callable[[], Any]) -> Any:
        """Send a request of one of Locust's clients, and keep track of it even if it never ends or isn't reported."""
        current: Any = gevent.getcurrent()
        life, work = self._life(), self._post.workload()
        now_s = work.now_s()
        is_of_task = life is not None and life.greenlet is current
        if life is not None:
            life.has_client = True
            if is_of_task and now_s < life.leaves_s and now_s >= work.spans[-1].end_s and is_stopping(life.user):
                # Otherwise its task would go on for as long as Locust waits for it.
                raise StopUser
        # Masked like the names in events, and only made if no event comes.
        request = PlainRequest(method, now_s, life, is_of_task, lambda: self._names.of(method, work.mask(name())))
        self._in_flight.begin(current, request)
        try:
            answer = send()
        except BaseException as error:
            self._give_up(current, request, error)
            raise
        if self._in_flight.end(current, request):
            # With `catch_response`, Locust only learns of it at the end of the `with` block, if there is one.
            event = event_to_come(answer)
            self._unreported[key_of(event)] = Unreported(request, work.now_s(), event.get("context"))
        return answer

    def _known(self, heard: Heard) -> tuple[PlainRequest, float] | None:
        """The request that this event reports, and when it was answered, if one of Locust's clients sent it."""
        current: Any = gevent.getcurrent()
        request = self._in_flight.last(current)
        if request is not None and heard.is_of(request.method):
            self._in_flight.end(current, request)
            return request, self._post.workload().now_s()
        unreported = self._unreported.pop(heard.key, None)
        return None if unreported is None else (unreported.request, unreported.answered_s)

    def _give_up(self, waiting: greenlet, request: PlainRequest, error: BaseException) -> None:
        """A request ended with an exception: given up by the user's code or by Locust, or never a valid request."""
        if isinstance(error, GreenletExit) and (request.is_of_task or self._is_leaving(request.life)):
            self._cut_off(waiting, request)
        elif not self._in_flight.end(waiting, request):
            return
        elif isinstance(error, GreenletExit | gevent.Timeout | TimeoutError):
            self._entries.add_timeout(request)
        else:
            self._entries.add_unreported(request)

    def _is_leaving(self, life: Life | None) -> bool:
        """Whether the user was leaving, or the plan was over: a request killed then was cut off, not given up."""
        work = self._post.workload()
        leaves_s = math.inf if life is None else life.leaves_s
        return work.now_s() >= min(leaves_s, work.spans[-1].end_s)

    def _cut_off(self, waiting: greenlet, request: PlainRequest) -> None:
        """The end of its user cut the request off: a timeout if it had exceeded the deadline, else abandoned."""
        if not self._in_flight.end(waiting, request):
            return
        work = self._post.workload()
        if work.now_s() - request.began_s > work.habits.deadline_s:
            self._entries.add_timeout(request)
        else:
            self._entries.add_abandoned(request)

    def _hear_whatever(self, event: Mapping[str, Any]) -> None:
        """Like `_hear`, but whatever a client puts into an event, it must not raise, and no request gets lost."""
        if self._is_over or isinstance(event.get("context"), Recorded):
            return
        try:
            self._hear(Heard.of(event))
        except Exception:  # noqa: BLE001 - a user's client may have put anything into it
            _log.exception("a request event that can't be understood")
            now_s = self._post.workload().now_s()
            unknown = PlainRequest("-", now_s, None, is_of_task=False, named=lambda: self._names.of("-", "-"))
            self._entries.add_unreported(unknown)

    def _hear(self, heard: Heard) -> None:
        """Record a request that has ended according to Locust's event."""
        now_s = self._post.workload().now_s()
        known, ended_s = self._known(heard) or (None, now_s)
        endpoint, outcome = self._names.of(heard.kind, heard.name), outcome_of(heard.response, heard.exception)
        request = self._request_of(heard, endpoint, now_s, known)
        if heard.took_s or (heard.took_s is not None and known is None):
            # For a known request, a duration of zero means that somebody stopped the clock.
            ended_s = min(now_s, request.began_s + heard.took_s)
        if outcome is Outcome.OK and heard.took_s is None and request.began_s == now_s:
            # A success that took no time at all would flatter every quantile.
            self._entries.add_unreported(request)
        elif isinstance(outcome, Outcome):
            self._entries.add(request, outcome, ended_s=ended_s, heard=heard)
        else:
            self._entries.add_unsent(request, outcome)
        if heard.exception is not None:
            status = status_of(heard.response)
            answer = None if status is None else HeardAnswer(status, body_read(heard.response))
            self._post.recorder.failed(endpoint, Request(heard.kind, heard.url), answer, heard.exception)

    def _request_of(self, heard: Heard, endpoint: str, now_s: float, known: PlainRequest | None) -> PlainRequest:
        """The request that an event reports, known since it was sent or only since it has ended."""
        if known is not None:
            return replace(known, method=heard.kind, named=lambda: endpoint)
        life = self._life()
        is_of_task = life is not None and life.greenlet is gevent.getcurrent()
        began_s = self._beginnings.began_s(heard, now_s, life, is_of_task=is_of_task)
        return PlainRequest(heard.kind, began_s, life, is_of_task, lambda: endpoint)


def follow_plain_users(environment: Environment, ours: type[User]) -> None:
    """Follow this process's users if any class is neither an ApiUser nor `ours`."""
    if any(not issubclass(cls, ApiUser | ours) for cls in environment.user_classes):
        Following(environment)
