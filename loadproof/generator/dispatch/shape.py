"""The planned phases as a Locust shape: how many users to run, and when the run is over."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar, Final

from locust import LoadTestShape

from loadproof.internals.locustevents import call_ours_last
from loadproof.plan.phases import changes_of, users_made_at
from loadproof.recording.announcements import Begun, PlanIsOver
from loadproof.users.post import THIS_PROCESS, Post
from loadproof.users.user import ApiUser, api_users, sets_up

if TYPE_CHECKING:
    from locust import User
    from locust.event import EventHook

    from loadproof.generator.crew.crew import Crew
    from loadproof.recording.runwriter import RunWriter

_CALLS_EVERY_S: Final = 1.0
"""How often Locust calls `tick`. Source: locust/runners.py 2.47, Runner.start_shape's worker."""
_LATE_S: Final = _CALLS_EVERY_S / 2
"""In a ramp, with a change every second, one that is later than this is closer to the next one."""
_LONGEST_NAP_S: Final = 0.1
"""An early end is noticed at least this often."""
_SLOWER_WORKER: Final = 1.5
"""How much slower than the master a worker may be: several may share a core."""
_SET_UPS_A_SECOND: Final = 100
_LONGEST_SET_UP_S: Final = 15.0


class PlanShape(LoadTestShape):
    """The Locust shape of a run; call `lead` before its first tick."""

    abstract = True
    post: ClassVar[Post] = THIS_PROCESS
    dispatcher: type[User]
    """The user class of the open model."""

    def __init__(self) -> None:
        super().__init__()
        self._begun = False
        self._ends_early = False
        self._changes: list[float] = []
        """When the number of users changes, and when the run ends, in s."""
        self._workers = 0
        """Number of workers in the run, without those that connected later."""
        self._told_until_s = 0.0
        """Locust has been told of all changes up to here, in s."""
        self._listeners: EventHook | None = None
        self._asked_s = math.nan
        """When Locust first called `tick`."""
        self.begins_at_unix_s = -math.inf
        """Second 0, unless the preparations take longer."""

    def lead(self, crew: Crew, writer: RunWriter) -> None:
        self._crew = crew
        self._writer = writer

    def begin_after(self, test_start: EventHook) -> None:
        """Begin once the locustfile's own listeners of this event have returned, however long they take."""
        self._listeners = test_start
        test_start.add_listener(self._begin)

    def end_early(self) -> None:
        """End the run at the next tick; if it is ending already, within the time that is left then."""
        self._ends_early = True
        self._crew.hurry()

    def tick(self) -> tuple[int, float, list[type[User]]] | None:
        """Users, spawn rate per second and classes; None once everything is sent and answered.

        Locust calls it again a second after it has processed the result.
        """
        if self._begun:
            self._await_change()
        elif self._listeners is None:
            self._begin()
        elif math.isnan(self._asked_s):
            self._asked_s = self.post.clock.now_s()
            call_ours_last(self._listeners)
        if self._is_over():
            if not self._ends_early:
                # Without this announcement, the parent knows that the run was stopped.
                self._writer.announce(PlanIsOver())
            self._crew.end()
            return None
        work = self.post.workload()
        if work.scenario.model == "open":
            return self._workers, float(self._workers), [self.dispatcher]
        now_s = max(0.0, min(work.now_s(), work.spans[-1].end_s - 1e-9)) if self._begun else 0.0
        users = users_made_at(work.spans, now_s)
        return users, float(max(users, 1)), self._classes()

    def _classes(self) -> list[type[User]]:
        """The classes of the mix, as the directory may contain others; all classes of a plain locustfile."""
        if self.post.workload().scenario.locustfile is None:
            return [*self._users_of_mix()]
        assert self.runner is not None  # noqa: S101 - Locust sets it before the first tick
        return [cls for cls in self.runner.environment.user_classes if cls is not self.dispatcher]

    def _users_of_mix(self) -> list[type[ApiUser]]:
        assert self.runner is not None  # noqa: S101 - Locust sets it before the first tick
        mix = self.post.workload().scenario.mix
        return [cls for cls in api_users(self.runner.environment) if cls.endpoint in mix]

    def _begin(self, **_: Any) -> None:
        self._begun = True
        self._changes = changes_of(self.post.workload().spans)
        lead_s = self._crew.lead_s + self._set_up_s() + self._listening_s()
        now_unix_s = self.post.clock.unix_s()
        lead_s = max(lead_s, self.begins_at_unix_s - now_unix_s)
        start_unix_s = now_unix_s + lead_s
        self.post.workload().begin(lead_s)
        self._workers = self._crew.begin(start_unix_s)
        self._writer.announce(Begun(start_unix_s, self._workers))

    def _listening_s(self) -> float:
        """Time for the workers' listeners, which are the same as the master's and run when users are requested."""
        took_s = 0.0 if self._listeners is None else self.post.clock.now_s() - self._asked_s
        return _SLOWER_WORKER * took_s if self._crew.is_of_many else 0.0

    def _set_up_s(self) -> float:
        """Time to set up the open model's clients before second 0, in s; limited, so some may be set up later."""
        clients = self.post.workload().scenario.client_count or 0
        users = sum(map(sets_up, self._users_of_mix())) * clients
        return min(1 + users / _SET_UPS_A_SECOND, _LONGEST_SET_UP_S) if users else 0.0

    def _await_change(self) -> None:
        """If the number of users changes, or the last phase ends, before the next call, wait until then.

        A change that has just passed, because Locust took its time, is made at once. One that has long passed is made
        with the next one, if that comes soon: otherwise all that follow would be as late.
        """
        work = self.post.workload()
        now_s = work.now_s()
        from_s, until_s = max(self._told_until_s, now_s - _LATE_S), now_s + _CALLS_EVERY_S
        moment_s = next((at_s for at_s in self._changes if from_s < at_s <= until_s), now_s)
        while now_s < moment_s and not self._ends_early:
            self.post.clock.sleep(min(moment_s - now_s, _LONGEST_NAP_S))
            now_s = work.now_s()
        self._told_until_s = max(self._told_until_s, now_s)

    def _is_over(self) -> bool:
        if not self._begun:
            return self._ends_early
        work = self.post.workload()
        now_s, end_s = work.now_s(), work.spans[-1].end_s
        all_answered = not self._crew.in_flight or now_s >= end_s + work.scenario.timeouts.total + 1
        return self._ends_early or (now_s >= end_s and all_answered)
