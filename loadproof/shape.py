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

    from loadproof.crew import Crew
    from loadproof.runwriter import RunWriter

_LEAD_S: Final = 0.5
"""Users are made before second 0, so that their making is in no measurement."""
_LEAD_OF_WORKERS_S: Final = 2.0
"""Workers make their payloads too before they have users."""


class PlanShape(LoadTestShape):
    abstract = True
    dispatcher: type[User]
    """The open model's user class."""

    def __init__(self) -> None:
        super().__init__()
        self._begun = False
        self._ends_early = False

    def lead(self, crew: Crew, writer: RunWriter) -> None:
        self._crew = crew
        self._writer = writer

    def end_early(self) -> None:
        """Let the next tick be the last."""
        self._ends_early = True

    def tick(self) -> tuple[int, float, list[type[User]]] | None:
        """Called once a second: users, spawn rate per second and classes; None when all is sent and answered."""
        if not self._begun:
            self._begin()
        if self._is_over():
            self._crew.end()
            return None
        work = workload()
        assert self.runner is not None  # noqa: S101 - Locust sets it before the first tick
        if work.scenario.model == "open":
            return self._worker_count, float(self._worker_count), [self.dispatcher]
        now_s = max(0.0, min(work.now_s(), work.spans[-1].end_s - 1e-9))
        users = users_at(work.spans, now_s)
        mix = work.scenario.mix
        classes: list[type[User]] = [cls for cls in api_users(self.runner.environment) if cls.endpoint in mix]
        return users, float(max(users, 1)), classes

    @property
    def _worker_count(self) -> int:
        return int(getattr(self.runner, "worker_count", 1))

    def _begin(self) -> None:
        self._begun = True
        lead_s = _LEAD_OF_WORKERS_S if hasattr(self.runner, "worker_count") else _LEAD_S
        start_unix_s = time.time() + lead_s
        workload().begin(lead_s)
        workers = self._crew.begin(start_unix_s)
        self._writer.announce(start_unix_s=start_unix_s, workers=workers)

    def _is_over(self) -> bool:
        work = workload()
        now_s, end_s = work.now_s(), work.spans[-1].end_s
        all_answered = not self._crew.in_flight or now_s >= end_s + work.scenario.timeouts.total + 1
        return self._ends_early or (now_s >= end_s and all_answered)
