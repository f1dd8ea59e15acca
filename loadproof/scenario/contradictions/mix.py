"""Finds contradictions in a scenario's mix: in its shares, and in the identities of its users."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from itertools import combinations
from typing import TYPE_CHECKING, Final

from loadproof.scenario.mistake import Mistake
from loadproof.scenario.traffic.usermix import NAMES_A_STRANGER

if TYPE_CHECKING:
    from loadproof.scenario.scenario import Scenario
    from loadproof.scenario.traffic.usermix import UserMix

_OWN: Final = ipaddress.IPv4Network("127.128.0.0/9")
"""Addresses that no other client of a run has."""


def mix_contradictions(scenario: Scenario) -> Iterator[Mistake]:
    """Everything in the mix that contradicts itself or the rest of the scenario."""
    if not scenario.mix:
        yield Mistake(("mix",), "empty", None, "name at least one kind of user, or leave it out for the default")
        return
    total_share = sum(mix.share for mix in scenario.mix.values())
    if abs(total_share - 1) > 1e-6:
        yield Mistake(("mix",), "the shares don't add up", f"{total_share * 100:.6g} %", "make them 100 % together")
    if scenario.model == "open" and scenario.client_count is None:
        yield Mistake(("client_count",), "missing in the open model", None, "say how many clients share the arrivals")
    for name, mix in scenario.mix.items():
        if scenario.model == "closed" and mix.every is None:
            yield Mistake(("mix", name, "every"), "missing in the closed model", None, "say how often each user sends")
        for mistake in _of_kind(scenario, name, mix):
            yield mistake.within("mix", name)
    yield from _same_addresses(scenario)


def _of_kind(scenario: Scenario, name: str, mix: UserMix) -> Iterator[Mistake]:
    if mix.like == name or (mix.like in scenario.mix and scenario.mix[mix.like].like):
        yield Mistake(
            ("like",), "not a kind of user with requests of its own", mix.like, "name one that has a locustfile"
        )
    if mix.clients is not None and scenario.model == "closed":
        yield Mistake(
            ("clients",), "no effect in the closed model, where each user is a client", str(mix.clients), "leave it out"
        )
    if mix.clients is not None and scenario.clients == "shared":
        yield Mistake(
            ("clients",),
            "no effect with `clients: shared`: the target sees one client",
            str(mix.clients),
            "leave it out",
        )
    if mix.evades and mix.expect is not None:
        yield Mistake(
            ("expect",), "no effect together with `evades`, which takes any answer", None, "remove one of them"
        )
    header = "" if isinstance(scenario.clients, str) else scenario.clients.header
    if mix.evades and "headers" in mix.evades and header.lower() in map(str.lower, NAMES_A_STRANGER):
        what = "the header by which the target tells clients apart would be sent twice"
        yield Mistake(("evades",), what, header, "leave `headers` out")
    if mix.addresses is not None:
        yield from _of_addresses(scenario, mix, ipaddress.ip_network(mix.addresses))


def _of_addresses(
    scenario: Scenario, mix: UserMix, network: ipaddress.IPv4Network | ipaddress.IPv6Network
) -> Iterator[Mistake]:
    most = scenario.client_total if mix.clients is None else mix.clients
    if scenario.clients != "source-address":
        yield Mistake(
            ("addresses",), "clients have none", mix.addresses, "leave it out, or say `clients: source-address`"
        )
    elif not (isinstance(network, ipaddress.IPv4Network) and network.subnet_of(_OWN)):
        yield Mistake(("addresses",), f"not in {_OWN}, where no other client is", mix.addresses, "name a network in it")
    elif scenario.model == "open" and mix.clients is None:
        remedy = "say how many `clients` of its own it has"
        yield Mistake(("addresses",), "addresses for clients that all kinds share", mix.addresses, remedy)
    elif scenario.model == "open" and most > max(network.num_addresses - 2, 1):
        yield Mistake(
            ("addresses",), f"fewer addresses than {most} clients need", mix.addresses, "name a larger network"
        )


def _same_addresses(scenario: Scenario) -> Iterator[Mistake]:
    named = [(name, mix.addresses) for name, mix in scenario.mix.items() if mix.addresses]
    for (first, one), (second, other) in combinations(named, 2):
        if ipaddress.ip_network(one).overlaps(ipaddress.ip_network(other)):
            yield Mistake(("mix", second, "addresses"), f"{first} has some of them, too", other, "name another network")
