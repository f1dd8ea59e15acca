"""What the users of this process share: the plan, the clients, the payloads, the connections, the recorder.

`loadproof run` assigns it; in plain `locust -f locustfiles`, users keep the default pace and only Locust's own
statistics are recorded.
"""

from __future__ import annotations

import functools
import os
import secrets
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final

from loadproof.api.calls import Api
from loadproof.api.guises import Guise
from loadproof.api.payloads import make_payloads
from loadproof.api.signing import DEVELOPMENT_SECRET
from loadproof.http.client import ClientConnections, Exchanging
from loadproof.http.connection import Connection
from loadproof.http.messages import RequestTimeouts
from loadproof.http.origin import Origin
from loadproof.plan.clients import SHARED, Client, make_client, marks_of, own_address
from loadproof.plan.pacing import Due, next_due
from loadproof.plan.phases import plan_phases, step_ahead, steps_of
from loadproof.recording.clock import SYSTEM_CLOCK
from loadproof.recording.norecorder import NoRecorder
from loadproof.recording.recorder import Recorder
from loadproof.rundir.manifest import TargetFacts
from loadproof.scenario.feeder import read_rows
from loadproof.scenario.targetvariables import check_hosts, masker_of, secret_variables
from loadproof.scenario.targetway import way_of
from loadproof.users.feeders import Feed
from loadproof.users.groups import Groups
from loadproof.users.habits import ENDLESS, PLAIN, habits_of
from loadproof.users.retryafter import Standing

if TYPE_CHECKING:
    from pathlib import Path

    from loadproof.recording.clock import Clock
    from loadproof.rundir.manifest import Manifest
    from loadproof.scenario.masking import Masker
    from loadproof.scenario.scenario import Scenario
    from loadproof.users.credentials import Credential

_REFERENCE: Final = TargetFacts(kind="own", base_url="", limits={})
_CLIENTS_BESIDE_THE_MIX: Final = 40_000
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
        target: TargetFacts = _REFERENCE,
        rank: int = 0,
        workers: int = 1,
        clock: Clock = SYSTEM_CLOCK,
        connect: Connect | None = None,
        masks: Sequence[Masker] = (),
    ) -> None:
        """Plain Locust has no scenario; `connect` stands in for real connections.

        `masks` are whatever else removes secrets in this process: they learn what is obtained.
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
        secret = os.environ.get(target.endpoints.webhooks.secret, DEVELOPMENT_SECRET)
        self.target = target
        self.api = Api(target.endpoints, headers=target.headers, webhook_secret=secret, auth=target.auth)
        self.mask, *_ = self._masks = masks or _masks_of(target)
        """Removes from texts that are recorded what the target file keeps secret, and tokens that were obtained."""
        self.credential: Credential | None = None
        """What all users of the process send, if it had to be obtained."""
        self._account_ids = target.account_ids
        self._limited = frozenset(target.limits if self.habits.keeps_to_limits else ())
        self.monotonic_s = clock.now_s
        self.start_s = self.monotonic_s()
        """Second 0, in monotonic seconds."""
        self.is_stopping = False
        """Our own stop may cut off whatever is in flight."""
        self._plain_until_s = next((span.start_s for span in self.spans if span.bursts_s), self.spans[-1].end_s)
        """Until then a user sends at its pace, whatever the phases."""
        self.has_bursts = any(span.bursts_s for span in self.spans)
        self._made: Counter[str] = Counter()
        """By kind of user, how many clients there have been."""
        self._left: defaultdict[str, list[int]] = defaultdict(list)
        """By kind of user, a heap of clients whose users are gone."""
        self._feeds: dict[str, Feed] = {}
        self._lives: Counter[int] = Counter()
        """By client, how many users have been it."""
        self._connect = connect or self._open_connection
        self._connections: dict[int, ClientConnections] = {}
        self._standings: defaultdict[tuple[int, str], Standing] = defaultdict(Standing)
        self._origin_of = functools.cache(functools.partial(_allowed_origin, target))

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

    def next_client(self, kind: str) -> tuple[Client, int]:
        """A client that no user of this kind is now, and how many have been it before.

        Kinds and workers take turns, so no two users are one client. Where users come and go, clients come again: the
        target has accounts for as many as there are at a time.
        """
        index = heappop(self._left[kind]) if self._left[kind] else self._new_index(kind)
        self._lives[index] += 1
        return self.client(index), self._lives[index] - 1

    def leave_client(self, kind: str, client: Client) -> None:
        """Its user is gone: the next one of this kind may be it."""
        heappush(self._left[kind], client.index)

    def _new_index(self, kind: str) -> int:
        kinds = sorted(self.habits.mix)
        number = self.rank + self.workers * self._made[kind]
        self._made[kind] += 1
        if kind not in kinds:
            # Only plain Locust has users besides the mix; their clients start far from the others'.
            return _CLIENTS_BESIDE_THE_MIX + number
        return number * len(kinds) + kinds.index(kind)

    def client(self, index: int) -> Client:
        by_address = self.habits.clients == "source-address"
        own = own_address(index, self._scenario) if self._scenario and by_address else None
        return make_client(index, seed=self.seed, by_address=by_address, account_ids=self._account_ids, own_address=own)

    def connections(self, client: Client, base_url: str) -> ClientConnections:
        if client.index not in self._connections:
            self._connections[client.index] = ClientConnections(functools.partial(self._connect, client, base_url))
        return self._connections[client.index]

    def seen_as(self, client: Client, base_url: str) -> str:
        """How the target's limits see the client."""
        address, marks = self._marks_of(client, self._origin_of(base_url).host)
        return address or next(iter(marks.values()), SHARED)

    def _marks_of(self, client: Client, host: str) -> tuple[str | None, dict[str, str]]:
        """Source address and headers by which a target at `host` tells the client from others."""
        address, marks = marks_of(client.index, self.habits.clients, host)
        return (client.address if address else None), marks

    def guise(self, kind: str) -> Guise | None:
        """In which users of this kind come; None: as they are."""
        return Guise.of(self.habits.mix.get(kind))

    def standing(self, client: Client, endpoint: str) -> Standing:
        """What the target's limits promised to the identity that they see as this client."""
        shared = self.habits.clients == "shared"
        return self._standings[0 if shared else client.index, endpoint]

    def _open_connection(self, client: Client, base_url: str) -> Exchanging:
        timeouts, origin = self.habits.timeouts, self._origin_of(base_url)
        address, marks = self._marks_of(client, origin.host)
        return Connection(
            origin,
            RequestTimeouts(timeouts.connect, timeouts.total, timeouts.first_byte, timeouts.keep_alive_idle),
            source_address=address,
            headers=marks,
        )


Connect = Callable[[Client, str], Exchanging]
"""A connection from this client to this base URL."""


def _masks_of(target: TargetFacts) -> list[Masker]:
    return [masker_of(secret_variables(target))]


def _allowed_origin(target: TargetFacts, base_url: str) -> Origin:
    """UnsafeTargetError in each process too: Locust's own options and messages can name another host."""
    check_hosts(target.model_copy(update={"base_url": base_url}))
    return Origin.of(base_url, way_of(target, base_url))


class Post:
    """A process's place in the run: its clock, and the workload assigned to it. A simulation has several."""

    def __init__(self, clock: Clock = SYSTEM_CLOCK, connect: Connect | None = None) -> None:
        self.clock = clock
        self._connect = connect
        self._workload: Workload | None = None
        self.masks: list[Masker] = []
        """Those of the process's own outputs."""

    def workload(self) -> Workload:
        """What was assigned to it, or plain Locust's workload."""
        if self._workload is None:
            recorder, run_id = NoRecorder(), secrets.token_hex()
            self._workload = Workload(
                None,
                seed=0,
                recorder=recorder,
                run_id=run_id,
                clock=self.clock,
                connect=self._connect,
                masks=[*_masks_of(_REFERENCE), *self.masks],
            )
        return self._workload

    def assign(self, manifest: Manifest, *, rank: int, workers: int, recorder: NoRecorder | None = None) -> Workload:
        """Make it the worker with this rank (from 0) in the run.

        `recorder` stands in for the one a run would create.
        """
        (mask,) = _masks_of(manifest.target)
        self._workload = Workload(
            manifest.scenario,
            seed=manifest.seed,
            recorder=recorder or self._recorder(manifest, rank, mask),
            run_id=manifest.run_id,
            target=manifest.target,
            rank=rank,
            workers=workers,
            clock=self.clock,
            connect=self._connect,
            masks=[mask, *self.masks],
        )
        return self._workload

    def _recorder(self, manifest: Manifest, rank: int, mask: Masker) -> Recorder:
        return Recorder(
            manifest.phases,
            deadline_s=manifest.scenario.deadline,
            group_deadlines_s={name: group.deadline for name, group in manifest.scenario.groups.items()},
            worker=str(rank + 1),
            clock=self.clock,
            mask=mask,
            journals=manifest.scenario.records_requests,
        )

    def leave(self) -> None:
        """Forget what was assigned."""
        self._workload = None


THIS_PROCESS: Final = Post()
"""For users that Locust creates without passing anything of ours."""
workload = THIS_PROCESS.workload
assign = THIS_PROCESS.assign
