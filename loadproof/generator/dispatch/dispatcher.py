"""The open model's single Locust user: sends a worker's share of the plan through clients of the API's user classes."""

from __future__ import annotations

import math
from collections import Counter, defaultdict, deque
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
_LATELY: Final = 20
"""The number of journeys that tell how long others take."""
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
        self._busy: dict[ApiUser, tuple[int, float]] = {}
        """The endpoint of each one's journey, and when it was due."""
        self._usual_s: dict[int, float] = {}
        """By endpoint: how long journeys have lately taken, or would have if their answers had met their deadlines."""
        self._most_busy = users_allowed(self.workload.scenario, self.workload.rank, self.workload.workers)
        self._dropped_s = [deque[float](maxlen=self._most_busy) for _ in self._classes]
        """By endpoint: when the latest dropped arrivals were due."""
        self._is_kept, self._looked_s = False, -math.inf
        """Whether the target keeps users that pause from other arrivals, and when that was found out."""
        self._setting_up: gevent.Greenlet | None = None
        self._executor = Executor(
            self._arrivals(),
            most_busy=self._most_busy,
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
        self._busy[user] = arrival.endpoint, due_s
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
            del self._busy[user]
            free.append(user)
            if self.workload.recorder.pausing:
                self._note_length(user, arrival.endpoint, due_s)

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
        self._dropped_s[arrival.endpoint].append(arrival.time_s)

    def _note_length(self, user: ApiUser, endpoint: int, due_s: float) -> None:
        took_s = self.workload.now_s() - due_s - user.held_up_s(self.workload.monotonic_s())
        usual_s = self._usual_s.get(endpoint, took_s)
        self._usual_s[endpoint] = usual_s + (took_s - usual_s) / _LATELY

    def _kept_pausing(self) -> int:
        """How many users that pause the target keeps from other arrivals: all, or none.

        If a user would be free had all answers met their deadlines, it is the target that keeps them; otherwise
        `max_in_flight` leaves too little room for pauses.
        """
        now_s, pausing = self.workload.now_s(), self.workload.recorder.pausing
        if pausing and now_s > self._looked_s + _LOOKS_EVERY_S:
            self._is_kept, self._looked_s = self._in_time(now_s) < self._most_busy, now_s
        return pausing if self._is_kept else 0

    def _in_time(self, now_s: float) -> int:
        """How many users would be busy if all answers had met their deadlines, so that no arrival was dropped."""
        monotonic_s = self.workload.monotonic_s()
        ages = [
            (endpoint, now_s - due_s, user.held_up_s(monotonic_s)) for user, (endpoint, due_s) in self._busy.items()
        ]
        # As long as no journey has ended, they take at least as long as the longest one so far.
        usual_s: defaultdict[int, float] = defaultdict(float)
        for endpoint, age_s, held_up_s in ages:
            usual_s[endpoint] = max(usual_s[endpoint], age_s - held_up_s)
        usual_s.update(self._usual_s)
        still_busy = sum(not held_up_s or age_s < usual_s[endpoint] for endpoint, age_s, held_up_s in ages)
        return still_busy + sum(
            now_s - at_s < usual_s[endpoint] for endpoint, dropped in enumerate(self._dropped_s) for at_s in dropped
        )
