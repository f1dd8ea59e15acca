"""The open model's one Locust user: each worker's share of the plan, sent by clients of the API's user classes."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, ClassVar

from locust import User, task
from locust.exception import StopUser

from loadproof.generator.alarm import SYSTEM_ALARM_CLOCK, AlarmClock
from loadproof.generator.executor import Arrival, Executor
from loadproof.plan.arrivals import ArrivalPlan
from loadproof.plan.pacing import Due
from loadproof.users.user import ApiUser, api_users
from loadproof.users.workload import THIS_PROCESS, Post

if TYPE_CHECKING:
    from collections.abc import Iterator

    from locust.env import Environment


class ArrivalDispatcher(User):
    """Deals this worker's arrivals to its clients; Locust's stop timeout bounds how long it waits for answers."""

    abstract = True
    post: ClassVar[Post] = THIS_PROCESS
    clock: ClassVar[AlarmClock] = SYSTEM_ALARM_CLOCK

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.workload = self.post.workload()
        self._plan = ArrivalPlan(self.workload.scenario, self.workload.spans, self.workload.seed)
        classes = {cls.endpoint: cls for cls in api_users(environment)}
        self._classes = [classes[endpoint] for endpoint in self._plan.endpoints]
        self._free: list[defaultdict[int, list[ApiUser]]] = [defaultdict(list) for _ in self._classes]
        """By endpoint and client: users who wait for no answer."""
        self._made: list[Counter[int]] = [Counter() for _ in self._classes]
        self._executor = Executor(
            self._arrivals(),
            most_busy=math.ceil(self.workload.scenario.max_in_flight / self.workload.workers),
            perform=self._perform,
            drop=self._drop,
            clock=self.clock,
        )

    @task
    def dispatch(self) -> None:
        self._executor.run(self.workload.start_s)
        raise StopUser

    def stop(self, force: bool = False) -> bool:
        """As Locust's: what is in flight is waited for, unless forced."""
        self._executor.stop()
        return bool(super().stop(force))

    def _arrivals(self) -> Iterator[Arrival]:
        for block in self._plan:
            mine = block.of_worker(self.workload.rank, self.workload.workers)
            columns = (mine.time_s.tolist(), mine.endpoint.tolist(), mine.client.tolist())
            yield from map(Arrival._make, zip(*columns, strict=True))

    def _perform(self, arrival: Arrival) -> None:
        """A client may have several requests in flight, each by a user object of its own."""
        free = self._free[arrival.endpoint][arrival.client]
        user = free.pop() if free else self._new_user(arrival)
        try:
            user.perform(Due(arrival.time_s))
        except StopUser:
            # 'stop' when throttled ends a waiting user; an arrival doesn't wait.
            pass
        except Exception as error:  # noqa: BLE001 - a mistake in a task is told as Locust tells it, and costs its arrival
            self.environment.events.user_error.fire(user_instance=user, exception=error, tb=error.__traceback__)
        finally:
            free.append(user)

    def _new_user(self, arrival: Arrival) -> ApiUser:
        made = self._made[arrival.endpoint]
        made[arrival.client] += 1
        client = self.workload.client(arrival.client)
        return self._classes[arrival.endpoint](self.environment, client, made[arrival.client])

    def _drop(self, arrival: Arrival) -> None:
        self.workload.recorder.dropped(self._plan.endpoints[arrival.endpoint], intended_s=arrival.time_s)
