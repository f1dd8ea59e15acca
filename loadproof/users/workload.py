"""What the users of one process share: the plan, the clients, the payloads, the feeders, the recorder."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from loadproof.api.api import Api
from loadproof.api.guises import Guise
from loadproof.api.payloads import make_payloads
from loadproof.api.signing import DEVELOPMENT_SECRET
from loadproof.plan.pacing import NEVER, Due, next_due
from loadproof.plan.phases import falls_of, phase_at, plan_phases, step_ahead, steps_of
from loadproof.recording.clock import SYSTEM_CLOCK
from loadproof.rundir.manifest import TargetFacts
from loadproof.scenario.target.variables import masker_of, secret_variables
from loadproof.scenario.traffic.feeder import read_rows
from loadproof.users.clients import Clients
from loadproof.users.feeders import Feed
from loadproof.users.groups import Groups
from loadproof.users.habits import ENDLESS, PLAIN, habits_of

if TYPE_CHECKING:
    from pathlib import Path

    from loadproof.recording.clock import Clock
    from loadproof.recording.requestlistener import RequestListener
    from loadproof.scenario.masking.masking import Masker
    from loadproof.scenario.scenario import Scenario
    from loadproof.users.clients import Connect
    from loadproof.users.credentials import Credential

REFERENCE: Final = TargetFacts(kind="own", base_url="", limits={})
_payloads_of = functools.lru_cache(maxsize=1)(make_payloads)
"""Cached, because a simulation creates many workloads with the same seed."""


class Workload:
    """One per process. Times are seconds from `begin()`; before that, from the object's creation."""

    def __init__(
        self,
        scenario: Scenario | None,
        *,
        seed: int,
        recorder: RequestListener,
        run_id: str,
        masks: Sequence[Masker],
        target: TargetFacts = REFERENCE,
        rank: int = 0,
        workers: int = 1,
        clock: Clock = SYSTEM_CLOCK,
        connect: Connect | None = None,
    ) -> None:
        """Plain Locust has no scenario; `connect` stands in for real connections.

        `masks` remove secrets from this process's output and learn the tokens it obtains; the first one is applied to
        everything recorded.
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
        """Removes the target file's secrets and obtained tokens from recorded texts."""
        self.credential: Credential | None = None
        """Sent by all users of the process; None unless a token had to be obtained."""
        self._limited = frozenset(target.limits if self.habits.keeps_to_limits else ())
        self.monotonic_s = clock.now_s
        self.start_s = self.monotonic_s()
        """Second 0, in monotonic seconds."""
        self.is_stopping = False
        """From now on, our own stop may cut off requests in flight."""
        self._plain_until_s = next((span.start_s for span in self.spans if span.bursts_s), self.spans[-1].end_s)
        """Until then a user just sends at its pace; later, `next_due` consults the phases."""
        self.bursts_s = [at_s for span in self.spans for at_s in span.bursts_s]
        """The time of each burst, in s; the first is burst number 1."""
        self.has_bursts = bool(self.bursts_s)
        self._feeds: dict[str, Feed] = {}

    def learn(self, token: str) -> None:
        """Mask this token in all output from now on."""
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
        """False in plain Locust, where no scenario declares the requests."""
        return self._scenario is not None

    def begin(self, delay_s: float) -> None:
        """Set second 0 of the run to `delay_s` seconds from now."""
        self.start_s = self.recorder.start_s = self.monotonic_s() + delay_s

    def now_s(self) -> float:
        # In Python, calling a function in a local variable is faster than calling an object's attribute.
        monotonic_s = self.monotonic_s
        return monotonic_s() - self.start_s

    def every_s(self, endpoint: str) -> float:
        """The pace of this endpoint's users in the closed model, in s."""
        return self.habits.pace_s(endpoint)

    def first_step(self, now_s: float) -> float:
        """When a closed-model user that is ready at `now_s` may start taking turns, in s."""
        return step_ahead(self.spans, self._steps, max(0.0, now_s))

    def stays_until(self, now_s: float) -> float:
        """Until when no closed-model user is told to leave, in s: the number of users falls, or the plan ends."""
        return next((fall_s for fall_s in self._falls if fall_s > now_s), self.spans[-1].end_s)

    @functools.cached_property
    def _falls(self) -> list[float]:
        return falls_of(self.spans)

    @property
    def feeders(self) -> tuple[str, ...]:
        """Names of the scenario's feeders."""
        return tuple(self._scenario.feeders) if self._scenario else ()

    def requests_of(self, kind: str) -> tuple[str, ...]:
        """Names of the requests that this kind of user sends; just `kind` if the scenario's mix doesn't list it."""
        scenario = self._scenario
        return scenario.requests_of(kind) if scenario and kind in scenario.mix else (kind,)

    def feed(self, name: str, directory: Path) -> Feed:
        """This process's share of the named feeder, whose file is in `directory`; LookupError if there is no such."""
        if name not in self._feeds:
            feeder = self.scenario.feeders[name]
            rows = read_rows(directory / feeder.file)
            self._feeds[name] = Feed(rows, feeder, seed=f"{self.seed}/{name}", rank=self.rank, workers=self.workers)
        return self._feeds[name]

    def groups(self) -> Groups:
        """A fresh tracker of the scenario's groups, for one user."""
        groups = self._scenario.groups if self._scenario else {}
        return Groups({name: tuple(group.requests) for name, group in groups.items()}, self.recorder)

    def is_limited(self, kind: str) -> bool:
        """Whether the target declares a limit for this kind's requests, and the plan should stay within it."""
        limit_of = self._scenario.limit_of if self._scenario else str
        return not self._limited.isdisjoint(map(limit_of, self.requests_of(kind)))

    def next_due(self, every_s: float, *, previous_s: float, now_s: float, offset_s: float) -> Due:
        """When a closed-model user that is free at `now_s` sends next."""
        due_s = previous_s + every_s
        if due_s < now_s:
            due_s = now_s
        if due_s < self._plain_until_s:
            return Due(due_s)
        return next_due(self.spans, previous_s=previous_s, now_s=now_s, every_s=every_s, offset_s=offset_s)

    def due_from(self, from_s: float, every_s: float, *, offset_s: float) -> Due:
        """When a user held back until `from_s` sends next: then, or at the next burst in a phase that has bursts.

        Never after the plan's end, though the run may wait for others' answers by then.
        """
        if from_s >= self.spans[-1].end_s:
            return NEVER
        if not self.has_bursts or not phase_at(self.spans, from_s).bursts_s:
            return Due(from_s)
        return next_due(self.spans, previous_s=from_s, now_s=from_s, every_s=every_s, offset_s=offset_s)

    def guise(self, kind: str) -> Guise | None:
        """The guise in which users of this kind send; None if they send as they are."""
        return Guise.of(self.habits.mix.get(kind))


def masks_of(target: TargetFacts) -> list[Masker]:
    """Masks for the secrets that the target file names."""
    return [masker_of(secret_variables(target))]
