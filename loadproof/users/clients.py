"""How the target sees users: as clients with accounts, an address or a header, and their own connections."""

from __future__ import annotations

import functools
from collections import Counter, defaultdict
from collections.abc import Callable
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final

from loadproof.http.client import ClientConnections, Exchanging
from loadproof.http.connection import Connection
from loadproof.http.messages import RequestTimeouts
from loadproof.http.origin import Origin
from loadproof.plan.clients import SHARED, Client, make_client, marks_of, own_address
from loadproof.scenario.target.variables import check_hosts
from loadproof.scenario.target.way import way_of
from loadproof.users.retryafter import PromiseTracker

if TYPE_CHECKING:
    from loadproof.rundir.manifest import TargetFacts
    from loadproof.scenario.scenario import Scenario
    from loadproof.users.habits import Habits

_CLIENTS_BESIDE_THE_MIX: Final = 40_000

Connect = Callable[[Client, str], Exchanging]
"""Makes a connection from a client to a base URL."""


class Clients:
    """The clients of one process."""

    def __init__(
        self,
        scenario: Scenario | None,
        habits: Habits,
        target: TargetFacts,
        *,
        seed: int,
        rank: int,
        workers: int,
        connect: Connect | None = None,
    ) -> None:
        """Plain Locust has no scenario; `connect` stands in for real connections."""
        self._scenario = scenario
        self._habits = habits
        self._account_ids = target.account_ids
        self._seed = seed
        self._rank = rank
        self._workers = workers
        self._made: Counter[str] = Counter()
        """By kind of user, the number of clients created so far."""
        self._left: defaultdict[str, list[int]] = defaultdict(list)
        """By kind of user, a heap of the indices of clients whose users are gone."""
        self._lives: Counter[int] = Counter()
        """By client index, the number of users so far."""
        self._connect = connect or self._open_connection
        self._connections: dict[int, ClientConnections] = {}
        self._trackers: defaultdict[tuple[int, str], PromiseTracker] = defaultdict(PromiseTracker)
        self._origin_of = functools.cache(functools.partial(_allowed_origin, target))

    def take(self, kind: str) -> tuple[Client, int]:
        """A client that no user is using now, and the number of users it had before.

        Indices are interleaved over kinds and workers, so no two users share a client. Clients of users that are gone
        are reused first: the target only has accounts for as many clients as there are at a time.
        """
        index = heappop(self._left[kind]) if self._left[kind] else self._new_index(kind)
        self._lives[index] += 1
        return self.client(index), self._lives[index] - 1

    def leave(self, kind: str, client: Client) -> None:
        """Free the client of a user that is gone, for the next user of this kind."""
        heappush(self._left[kind], client.index)

    def _new_index(self, kind: str) -> int:
        kinds = sorted(self._habits.mix)
        number = self._rank + self._workers * self._made[kind]
        self._made[kind] += 1
        if kind not in kinds:
            # Only plain Locust has users that are not in the mix; their clients' indices start far above the others'.
            return _CLIENTS_BESIDE_THE_MIX + number
        return number * len(kinds) + kinds.index(kind)

    def client(self, index: int) -> Client:
        by_address = self._habits.clients == "source-address"
        own = own_address(index, self._scenario) if self._scenario and by_address else None
        return make_client(
            index, seed=self._seed, by_address=by_address, account_ids=self._account_ids, own_address=own
        )

    def connections(self, client: Client, base_url: str) -> ClientConnections:
        if client.index not in self._connections:
            self._connections[client.index] = ClientConnections(functools.partial(self._connect, client, base_url))
        return self._connections[client.index]

    def seen_as(self, client: Client, base_url: str) -> str:
        """How the target's limits identify the client: its address, the value of its header, or 'shared'."""
        address, marks = self._marks_of(client, self._origin_of(base_url).host)
        return address or next(iter(marks.values()), SHARED)

    def _marks_of(self, client: Client, host: str) -> tuple[str | None, dict[str, str]]:
        """Source address and headers by which a target at `host` tells the client from others."""
        address, marks = marks_of(client.index, self._habits.clients, host)
        return (client.address if address else None), marks

    def promise_tracker(self, client: Client, endpoint: str) -> PromiseTracker:
        """Tracks the promises to this client for one endpoint; one tracker for all clients if the target can't tell."""
        shared = self._habits.clients == "shared"
        return self._trackers[0 if shared else client.index, endpoint]

    def _open_connection(self, client: Client, base_url: str) -> Exchanging:
        timeouts, origin = self._habits.timeouts, self._origin_of(base_url)
        address, marks = self._marks_of(client, origin.host)
        return Connection(
            origin,
            RequestTimeouts(timeouts.connect, timeouts.total, timeouts.first_byte, timeouts.keep_alive_idle),
            source_address=address,
            headers=marks,
        )


def _allowed_origin(target: TargetFacts, base_url: str) -> Origin:
    """UnsafeTargetError for a host that is not allowed; every process checks, as Locust's own options can name one."""
    check_hosts(target.model_copy(update={"base_url": base_url}))
    return Origin.of(base_url, way_of(target, base_url))
