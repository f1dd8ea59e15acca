"""How many files and ports a scenario's connections need, and whether this machine allows them."""

from __future__ import annotations

import math
import resource
from pathlib import Path
from typing import TYPE_CHECKING, Final

from loadproof.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadproof.scenario.scenario import Scenario

MOST_CONNECTIONS: Final = 200_000
"""Of any scenario: as many clients as it may have, and as many requests in flight."""
_BESIDE_CONNECTIONS: Final = 100
"""Files that a process has open anyway, with room."""
_PORT_RANGE: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")


def connections_needed(scenario: Scenario) -> int:
    """The most that may be open at a time: in the open model those of all clients, and of all in flight beside them."""
    if scenario.model == "open":
        return scenario.client_total + scenario.max_in_flight
    return scenario.client_total


def allow_open_files(connections: int) -> None:
    """Raise this process's own limit, which its children inherit, as far as the system lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _BESIDE_CONNECTIONS
    if _number(soft) < wanted:
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (min(wanted, hard) if hard != resource.RLIM_INFINITY else wanted, hard)
        )


def open_file_problems(scenario: Scenario, *, processes: int, where: str) -> Iterator[Problem]:
    """What would stop connections of this scenario, if so many processes share them."""
    connections = connections_needed(scenario)
    per_process = math.ceil(connections / processes) + _BESIDE_CONNECTIONS
    hard = _number(resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    if hard < per_process:
        yield Problem(
            f"{where} {'max_in_flight' if scenario.model == 'open' else 'phases'}",
            f"needs {per_process:,} open files in a process, and this system allows fewer",
            f"raise the hard limit (`ulimit -Hn {per_process}` as root, or LimitNOFILE), or lower the load",
            got=f"{hard:,.0f}",
        )
    if scenario.clients != "source-address" and connections > local_ports():
        yield Problem(
            f"{where} clients",
            f"{connections:,} connections from one address are more than it has ports",
            "widen net.ipv4.ip_local_port_range, use source addresses, or lower the load",
            got=f"{local_ports():,}",
        )


def local_ports() -> int:
    """Ports for connections from one address to one server; 16,384 where the system doesn't tell (RFC 6335's range)."""
    try:
        first, last = map(int, _PORT_RANGE.read_text(encoding="ascii").split())
    except (OSError, ValueError):
        return 16_384
    return last - first + 1


def _number(limit: int) -> float:
    return math.inf if limit == resource.RLIM_INFINITY else limit
