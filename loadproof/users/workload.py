"""What the users of this process share: the plan, the clients, the payloads, the feeders, the recorder."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from loadproof.api.api import Api
from loadproof.api.guises import Guise
from loadproof.api.payloads import make_payloads
from loadproof.api.signing import DEVELOPMENT_SECRET
from loadproof.plan.pacing import Due, next_due
from loadproof.plan.phases import phase_at, plan_phases, step_ahead, steps_of
from loadproof.recording.clock import SYSTEM_CLOCK
from loadproof.rundir.manifest import TargetFacts
from loadproof.scenario.feeder import read_rows
from loadproof.scenario.targetvariables import masker_of, secret_variables
from loadproof.users.clients import Clients
from loadproof.users.feeders import Feed
from loadproof.users.groups import Groups
from loadproof.users.habits import ENDLESS, PLAIN, habits_of

if TYPE_CHECKING:
    from pathlib import Path

    from loadproof.recording.clock import Clock
    from loadproof.recording.norecorder import NoRecorder
    from loadproof.recording.recorder import Recorder
    from loadproof.scenario.masking import Masker
    from loadproof.scenario.scenario import Scenario
    from loadproof.users.clients import Connect
    from loadproof.users.credentials import Credential

REFERENCE: Final = TargetFacts(kind="own", base_url="", limits={})
_payloads_of = functools.lru_cache(maxsize=1)(make_payloads)
"""A simulation has many workloads with one seed."""


class Workload:
    """One per process. Times are seconds from `begin()`; before that, from the object's creation."""

    def __init__(
        self,
        scenario: Scenario | None,
        *,
        seed: int,
        recorder: Recorder | NoRecorder,
        run_id: str,
        masks: Sequence[Masker],
        target: TargetFacts = REFERENCE,
        rank: int = 0,
        workers: int = 1,
        clock: Clock = SYSTEM_CLOCK,
        connect: Connect | None = None,
    ) -> None:
        """Plain Locust has no scenario; `connect` stands in for real connections.

        `masks` remove secrets in this process, and learn what is obtained; the first masks what is recorded.
        """
        self._scenario = scenario
        self.habits = habits_of(scenario) if scenario else PLAIN
        self.rank = rank
        self.workers = workers
        self.spans = plan_phases(scenario) if scenario else [ENDLESS]
        self._steps = steps_of(self.spans)
        self.seed = seed
        self.run_id = run_id
        self.recorder = recorder
        self.payloads = _payloads_of(seed)
        self.clients = Clients(scenario, self.habits, target, seed=seed, rank=rank, workers=workers, connect=connect)
        secret = os.environ.get(target.endpoints.webhooks.secret, DEVELOPMENT_SECRET)
        self.target = target
        self.api = Api(target.endpoints, headers=target.headers, webhook_secret=secret, auth=target.auth)
        self._masks = masks
        self.mask = masks[0]
        """Removes from texts that are recorded what the target file keeps secret, and tokens that were obtained."""
        self.credential: Credential | None = None
        """What all users of the process send, if it had to be obtained."""
        self._limited = frozenset(target.limits if self.habits.keeps_to_limits else ())
        self.monotonic_s = clock.now_s
        self.start_s = self.monotonic_s()
        """Second 0, in monotonic seconds."""
        self.is_stopping = False
        """Our own stop may cut off whatever is in flight."""
        self._plain_until_s = next((span.start_s for span in self.spans if span.bursts_s), self.spans[-1].end_s)
        """Until then a user sends at its pace, whatever the phases."""
        self.bursts_s = [at_s for span in self.spans for at_s in span.bursts_s]
        """When each burst is, in s; the first is number 1."""
        self.has_bursts = bool(self.bursts_s)
        self._feeds: dict[str, Feed] = {}

    def learn(self, token: str) -> None:
        """Nobody is to see it from now on."""
        for mask in self._masks:
            mask.learn(token)

    @property
    def scenario(self) -> Scenario:
        """The run's scenario; LookupError in plain Locust, where nothing that needs it is loaded."""
        if self._scenario is None:
            raise LookupError("plain Locust has no scenario")
        return self._scenario

    @property
    def is_of_run(self) -> bool:
        """Not plain Locust's, where nobody has said what requests there are."""
        return self._scenario is not None

    def begin(self, delay_s: float) -> None:
        """Second 0 of the run is `delay_s` from now."""
        self.start_s = self.recorder.start_s = self.monotonic_s() + delay_s

    def now_s(self) -> float:
        # In Python, calling a function in a local variable is faster than calling an object's attribute.
        monotonic_s = self.monotonic_s
        return monotonic_s() - self.start_s

    def every_s(self, endpoint: str) -> float:
        """The pace of this endpoint's users in the closed model, in s."""
        return self.habits.pace_s(endpoint)

    def first_step(self, now_s: float) -> float:
        """From when a closed-model user that is ready now takes its turns, in s."""
        return step_ahead(self.spans, self._steps, max(0.0, now_s))

    @property
    def feeders(self) -> tuple[str, ...]:
        """Names of those that users may take rows of."""
        return tuple(self._scenario.feeders) if self._scenario else ()

    def requests_of(self, kind: str) -> tuple[str, ...]:
        """Names of what this kind of user sends; besides the mix, which only plain Locust has, its own."""
        scenario = self._scenario
        return scenario.requests_of(kind) if scenario and kind in scenario.mix else (kind,)

    def feed(self, name: str, directory: Path) -> Feed:
        """This process's part of the feeder of this name, whose file is in the directory; LookupError without one."""
        if name not in self._feeds:
            feeder = self.scenario.feeders[name]
            rows = read_rows(directory / feeder.file)
            self._feeds[name] = Feed(rows, feeder, seed=f"{self.seed}/{name}", rank=self.rank, workers=self.workers)
        return self._feeds[name]

    def groups(self) -> Groups:
        """For one user."""
        groups = self._scenario.groups if self._scenario else {}
        return Groups({name: tuple(group.requests) for name, group in groups.items()}, self.recorder)

    def is_limited(self, kind: str) -> bool:
        """The target declares a limit for it, and the plan should stay within it."""
        limit_of = self._scenario.limit_of if self._scenario else str
        return not self._limited.isdisjoint(map(limit_of, self.requests_of(kind)))

    def next_due(self, every_s: float, *, previous_s: float, now_s: float, offset_s: float) -> Due:
        """When a closed-model user that is free now sends next."""
        due_s = previous_s + every_s
        if due_s < now_s:
            due_s = now_s
        if due_s < self._plain_until_s:
            return Due(due_s)
        return next_due(self.spans, previous_s=previous_s, now_s=now_s, every_s=every_s, offset_s=offset_s)

    def due_from(self, from_s: float, every_s: float, *, offset_s: float) -> Due:
        """When a user sends next that may not before then: at once, or at the next burst where only those count."""
        if not self.has_bursts or not phase_at(self.spans, from_s).bursts_s:
            return Due(from_s)
        return next_due(self.spans, previous_s=from_s, now_s=from_s, every_s=every_s, offset_s=offset_s)

    def guise(self, kind: str) -> Guise | None:
        """In which users of this kind come; None: as they are."""
        return Guise.of(self.habits.mix.get(kind))


def masks_of(target: TargetFacts) -> list[Masker]:
    """What hides the target's secrets in texts."""
    return [masker_of(secret_variables(target))]
