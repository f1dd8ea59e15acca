"""The open model's single Locust user: sends a worker's share of the plan through clients of the API's user classes."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, ClassVar, Final

import gevent
from gevent.pool import Pool
from greenlet import GreenletExit
from locust import User, task
from locust.exception import RescheduleTask, RescheduleTaskImmediately, StopUser

from loadproof.generator.dispatch.alarm import SYSTEM_ALARM_CLOCK, AlarmClock
from loadproof.generator.dispatch.executor import Arrival, Executor
from loadproof.plan.arrivals import ArrivalPlan
from loadproof.plan.clients import clients_of, users_allowed
from loadproof.plan.pacing import Due
from loadproof.users.post import THIS_PROCESS, Post
from loadproof.users.user import ApiUser, api_users, sets_up

if TYPE_CHECKING:
    from collections.abc import Iterator

    from locust.env import Environment


_AT_ONCE: Final = 32
"""Number of users set up at the same time."""
_LOOKS_EVERY_S: Final = 0.05
"""Thousands of arrivals may be dropped in a second, and looking at thousands of users takes time."""


class ArrivalDispatcher(User):
    """Deals this worker's arrivals to its clients; Locust's stop timeout limits how long it waits for answers."""

    abstract = True
    post: ClassVar[Post] = THIS_PROCESS
    clock: ClassVar[AlarmClock] = SYSTEM_ALARM_CLOCK

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.workload = self.post.workload()
        self._groups = self.workload.groups()
        self._plan = ArrivalPlan(self.workload.scenario, self.workload.spans, self.workload.seed)
        classes = {cls.endpoint: cls for cls in api_users(environment)}
        self._classes = [classes[endpoint] for endpoint in self._plan.endpoints]
        self._sets_up = [sets_up(cls) for cls in self._classes]
        self._free: list[defaultdict[int, list[ApiUser]]] = [defaultdict(list) for _ in self._classes]
        """By endpoint and client: users that aren't waiting for an answer."""
        self._made: list[Counter[int]] = [Counter() for _ in self._classes]
        self._busy: set[ApiUser] = set()
        self._is_kept, self._looked_s = False, -math.inf
        """Whether the target keeps users that pause from other arrivals, and when that was found out."""
        self._setting_up: gevent.Greenlet | None = None
        self._executor = Executor(
            self._arrivals(),
            most_busy=users_allowed(self.workload.scenario, self.workload.rank, self.workload.workers),
            perform=self._perform,
            drop=self._drop,
            clock=self.clock,
        )

    @task
    def dispatch(self) -> None:
        pool = Pool(_AT_ONCE)
        self._setting_up = gevent.spawn(self._set_up_ahead, pool)
        try:
            self._executor.run(self.workload.start_s)
        finally:
            self._setting_up.kill()
            pool.kill()
        raise StopUser

    def _set_up_ahead(self, pool: Pool) -> None:
        """Set up the first user of each client, in the order in which they are needed, starting before second 0."""
        work = self.workload
        wanted = sum(
            client % work.workers == work.rank
            for kind, does in zip(self._plan.endpoints, self._sets_up, strict=True)
            for client in (clients_of(kind, work.scenario) if does else ())
        )
        known: set[tuple[int, int]] = set()
        for arrival in self._arrivals() if wanted else ():
            who = arrival.endpoint, arrival.client
            if who not in known and self._sets_up[arrival.endpoint]:
                known.add(who)
                pool.spawn(self._set_up_one, arrival)
                if len(known) == wanted:
                    break

    def _set_up_one(self, arrival: Arrival) -> None:
        if not self._made[arrival.endpoint][arrival.client]:
            self._free[arrival.endpoint][arrival.client].append(self._new_user(arrival))

    def stop(self, force: bool = False) -> bool:
        """Like Locust's own: waits for requests in flight unless forced."""
        self.workload.is_stopping = True
        self._executor.stop()
        if self._setting_up is not None:
            self._setting_up.kill(block=False)
        return bool(super().stop(force))

    def _arrivals(self) -> Iterator[Arrival]:
        for block in self._plan:
            mine = block.of_worker(self.workload.rank, self.workload.workers)
            columns = (mine.time_s.tolist(), mine.endpoint.tolist(), mine.client.tolist())
            yield from map(Arrival._make, zip(*columns, strict=True))

    def _perform(self, arrival: Arrival) -> None:
        """A client may have several requests in flight, each through its own user object."""
        free = self._free[arrival.endpoint][arrival.client]
        due_s = arrival.time_s
        if free:
            user = free.pop()
        else:
            began_s = self.workload.now_s()
            user = self._new_user(arrival)
            # Setup time is part of no response time; the start lag before it still counts.
            due_s += self.workload.now_s() - began_s if self._sets_up[arrival.endpoint] else 0.0
        self._busy.add(user)
        try:
            user.perform(Due(due_s))
        except (StopUser, RescheduleTask, RescheduleTaskImmediately):
            # A task's own ways to end. A user that is to stop when throttled remains: arrivals don't wait for users.
            pass
        except GreenletExit:
            raise
        except BaseException as error:  # noqa: BLE001 - reported as Locust does; an error only costs its own arrival
            self._report_error(user, error)
        finally:
            self._busy.discard(user)
            free.append(user)

    def _new_user(self, arrival: Arrival) -> ApiUser:
        made = self._made[arrival.endpoint]
        made[arrival.client] += 1
        client = self.workload.clients.client(arrival.client)
        user = self._classes[arrival.endpoint](self.environment, client, made[arrival.client])
        try:
            user.on_start()
        except StopUser:
            pass
        except GreenletExit:
            raise
        except BaseException as error:  # noqa: BLE001 - as in a task
            self._report_error(user, error)
        return user

    def _report_error(self, user: ApiUser, error: BaseException) -> None:
        self.environment.events.user_error.fire(user_instance=user, exception=error, tb=error.__traceback__)

    def _drop(self, arrival: Arrival) -> None:
        """Count the arrival's first request as dropped, and the groups that would have begun with it."""
        recorder = self.workload.recorder
        first, *_ = self.workload.scenario.requests_of(self._plan.endpoints[arrival.endpoint])
        recorder.dropped(first, intended_s=arrival.time_s, kept=self._kept_pausing())
        for name in self._groups.begun_by([first]):
            recorder.dropped_group(name, intended_s=arrival.time_s)

    def _kept_pausing(self) -> int:
        """How many users that pause the target keeps from other arrivals: all, or none.

        If most journeys have waited for answers beyond their deadlines, that is why no user is free; otherwise
        `max_in_flight` leaves too little room for pauses.
        """
        now_s, pausing = self.workload.monotonic_s(), self.workload.recorder.pausing
        if pausing and now_s > self._looked_s + _LOOKS_EVERY_S:
            held_up = sum(user.is_held_up(now_s) for user in self._busy)
            self._is_kept, self._looked_s = 2 * held_up > len(self._busy), now_s
        return pausing if self._is_kept else 0
