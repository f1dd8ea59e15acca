"""Planned phases as a Locust shape: how many users there are, and when the run is over."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from locust import LoadTestShape

from loadproof.plan import users_at
from loadproof.users import api_users
from loadproof.workload import workload

if TYPE_CHECKING:
    from locust import User

_LEAD_S: Final = 0.5
"""Users are made before second 0, so that their making is in no measurement."""


class PlanShape(LoadTestShape):
    abstract = True
    dispatcher: type[User]
    """The open model's user class."""

    def __init__(self) -> None:
        super().__init__()
        self._begun = False

    def tick(self) -> tuple[int, float, list[type[User]]] | None:
        """Called once a second: users, spawn rate per second and classes; None when all is sent and answered."""
        work = workload()
        if not self._begun:
            self._begun = True
            work.begin(_LEAD_S)
            work.recorder.announce(start_unix_s=time.time() + _LEAD_S)
        now_s, end_s = work.now_s(), work.spans[-1].end_s
        scenario = work.scenario
        if now_s >= end_s and (not work.recorder.in_flight or now_s >= end_s + scenario.timeouts.total + 1):
            return None
        if scenario.model == "open":
            return 1, 1.0, [self.dispatcher]
        users = users_at(work.spans, max(0.0, min(now_s, end_s - 1e-9)))
        assert self.runner is not None  # noqa: S101 - Locust sets it before the first tick
        classes: list[type[User]] = [cls for cls in api_users(self.runner.environment) if cls.endpoint in scenario.mix]
        return users, float(max(users, 1)), classes
