"""The open model's one Locust user: sends each planned arrival at its time, whatever the target does."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING

import gevent
import gevent.pool
from locust import User, task
from locust.exception import StopUser
from locust.user.task import LOCUST_STATE_STOPPING

from loadproof.plan import Due, plan_arrivals
from loadproof.users import ApiUser, api_users
from loadproof.workload import workload

if TYPE_CHECKING:
    from locust.env import Environment

_LONGEST_NAP_S = 0.5
"""A stop is noticed at least this often."""


class ArrivalDispatcher(User):
    """Deals arrivals to clients, each with a greenlet of its own; drops those beyond `max_in_flight`."""

    abstract = True

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.workload = workload()
        self._classes = {cls.endpoint: cls for cls in api_users(environment)}
        self._free: dict[tuple[str, int], list[ApiUser]] = defaultdict(list)

    @task
    def dispatch(self) -> None:
        """This worker's clients' arrivals, then wait for the answers: Locust's stop timeout bounds the wait."""
        scenario, recorder = self.workload.scenario, self.workload.recorder
        arrivals = plan_arrivals(scenario, self.workload.spans, self.workload.seed)
        in_flight = gevent.pool.Pool(math.ceil(scenario.max_in_flight / self.workload.workers))
        mine = arrivals.client % self.workload.workers == self.workload.rank
        columns = (arrivals.time_s, arrivals.endpoint, arrivals.client)
        rows = zip(*(column[mine].tolist() for column in columns), strict=True)
        for time_s, number, client in rows:
            endpoint = arrivals.endpoints[number]
            if not self._sleep_until(time_s):
                break
            if in_flight.full():
                recorder.dropped(endpoint, intended_s=time_s)
            else:
                in_flight.spawn(self._perform, endpoint, client, time_s)
        in_flight.join()
        raise StopUser

    def _sleep_until(self, time_s: float) -> bool:
        """False when Locust wants this user to stop before that time."""
        while self._state != LOCUST_STATE_STOPPING:
            left_s = time_s - self.workload.now_s()
            if left_s <= 0:
                return True
            gevent.sleep(min(left_s, _LONGEST_NAP_S))
        return False

    def _perform(self, endpoint: str, client: int, time_s: float) -> None:
        """A client may have several requests in flight, each by a user object of its own."""
        free = self._free[endpoint, client]
        user = free.pop() if free else self._classes[endpoint](self.environment, self.workload.client(client))
        try:
            user.perform(Due(time_s))
        except StopUser:
            # 'stop' when throttled ends a waiting user; an arrival doesn't wait.
            pass
        finally:
            free.append(user)
