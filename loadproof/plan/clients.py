"""Turns a client's global index into everything the target knows it by: address, accounts and random choices."""

from __future__ import annotations

import ipaddress
import math
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from loadproof.plan.phases import falls_of, plan_phases, users_made_at
from loadproof.scenario.scenario import HeaderClients

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadproof.scenario.scenario import Scenario

    Clients = Literal["source-address", "shared"] | HeaderClients

ACCOUNTS_PER_CLIENT: Final = 3
SHARED: Final = "shared"
"""How a target sees clients that it can't tell apart."""
_ADDRESSES_PER_NET: Final = 250


@dataclass(frozen=True)
class Client:
    """One identity that the target's limits see; the same for the same index, whatever else is running."""

    index: int
    address: str | None
    """Source address, if clients differ by it."""
    read_account: str
    """An account that nobody moves money to or from."""
    paying_accounts: tuple[str, str]
    """Two accounts between which this client moves money."""
    seed: int

    def random(self, of: str) -> random.Random:
        """A fresh random stream for this client's choices; a different one for each name."""
        return random.Random(f"{self.seed}/{self.index}/{of}")


def make_client(
    index: int,
    *,
    seed: int,
    by_address: bool,
    account_ids: Sequence[str] | None = None,
    own_address: str | None = None,
) -> Client:
    """The client with this index, at `own_address` or at its index's address.

    `account_ids`, if given, are assigned in threes; further clients share them.
    Sharing preserves what users rely on: nobody pays from or to an account whose balance somebody reads.
    """
    if account_ids is None:
        trio = [account_id(ACCOUNTS_PER_CLIENT * index + number) for number in range(ACCOUNTS_PER_CLIENT)]
    else:
        first = ACCOUNTS_PER_CLIENT * (index % (len(account_ids) // ACCOUNTS_PER_CLIENT))
        trio = list(account_ids[first : first + ACCOUNTS_PER_CLIENT])
    return Client(
        index=index,
        address=(own_address or source_address(index)) if by_address else None,
        read_account=trio[0],
        paying_accounts=(trio[1], trio[2]),
        seed=seed,
    )


def source_address(index: int) -> str:
    """A separate address in 127.0.0.0/8 for each index, from 127.1.0.1 on; on Linux all of them reach loopback."""
    net, host = divmod(index, _ADDRESSES_PER_NET)
    return f"127.{1 + net // 256}.{net % 256}.{host + 1}"


def marks_of(index: int, clients: Clients, host: str) -> tuple[str | None, dict[str, str]]:
    """Source address and headers by which a target at `host` distinguishes the client with this index."""
    is_loopback = host == "localhost" or host.startswith("127.")
    address = source_address(index) if clients == "source-address" and is_loopback else None
    return address, {clients.header: f"client-{index}"} if isinstance(clients, HeaderClients) else {}


def seen_as(index: int, clients: Clients, host: str) -> str:
    """How a target at `host` sees the client with this index: by its address, its header's value, or as `shared`."""
    address, headers = marks_of(index, clients, host)
    return address or next(iter(headers.values()), SHARED)


def marks_named(name: str, clients: Clients) -> tuple[str | None, dict[str, str]]:
    """Like `marks_of`, for the client that the target sees under this name."""
    if isinstance(clients, HeaderClients):
        return None, {clients.header: name}
    return (name if clients == "source-address" and name != SHARED else None), {}


def clients_of(kind: str, scenario: Scenario) -> range:
    """Open model: indices of the clients to which this kind's arrivals are dealt, in turn."""
    first = scenario.client_count or 0
    if (own := scenario.mix[kind].clients) is None:
        return range(first)
    for name, mix in scenario.mix.items():
        if name == kind:
            break
        first += mix.clients or 0
    return range(first, first + own)


def users_allowed(scenario: Scenario, rank: int, workers: int) -> int:
    """Open model: how many of `max_in_flight` the worker with this rank (from 0) may have, by its share of arrivals.

    An equal part would be too few for a worker that has all the clients, and arrivals would be dropped for no reason.
    """
    share = 0.0
    for kind, mix in scenario.mix.items():
        clients = clients_of(kind, scenario)
        first, count = clients.start, max(len(clients), 1)
        mine = range(first + (rank - first) % workers, first + count, workers)
        share += mix.share * len(mine) / count
    # Rounded first: a product like 250.00000000000003 would be one more.
    return math.ceil(round(scenario.max_in_flight * share, 6))


def own_address(index: int, scenario: Scenario) -> str | None:
    """The address of a client whose kind has a network of its own; None if its kind has none."""
    if not any(mix.addresses for mix in scenario.mix.values()):
        return None
    if scenario.model == "open":
        own = [kind for kind, mix in scenario.mix.items() if mix.clients and index in clients_of(kind, scenario)]
        kind, number = (own[0], index - clients_of(own[0], scenario).start) if own else ("", 0)
    else:
        kinds = sorted(scenario.mix)
        kind, number = kinds[index % len(kinds)], index // len(kinds)
    mix = scenario.mix.get(kind)
    if mix is None or mix.addresses is None:
        return None
    network = ipaddress.ip_network(mix.addresses)
    # Without the network's own address and the broadcast address.
    hosts = max(network.num_addresses - 2, 1)
    return str(network[(1 if network.num_addresses > 2 else 0) + number % hosts])


def account_id(number: int) -> str:
    """The embedded target's name for its n-th account."""
    return f"acct-{number:06d}"


def highest_client_index(scenario: Scenario) -> int:
    """The highest index that any client of this scenario's users can have.

    In the closed model, users that still wait for an answer may overlap with those that replace them.
    """
    if scenario.model == "open":
        return scenario.client_total - 1
    most = scenario.client_total
    if leavers := _most_leaving(scenario):
        most += max(most, leavers)
    return most * max(len(scenario.mix), 1) - 1


def _most_leaving(scenario: Scenario) -> int:
    """Users of the closed model that may be leaving at a time: all told to while a journey's answers may take."""
    spans = plan_phases(scenario)
    falls = [(at_s, users_made_at(spans, at_s - 1e-6) - users_made_at(spans, at_s)) for at_s in falls_of(spans)]
    longest = max((len(scenario.requests_of(kind)) for kind in scenario.mix), default=1)
    most = leaving = first = 0
    for at_s, users in falls:
        leaving += users
        while falls[first][0] <= at_s - longest * scenario.timeouts.stop_s:
            leaving -= falls[first][1]
            first += 1
        most = max(most, leaving)
    return most
