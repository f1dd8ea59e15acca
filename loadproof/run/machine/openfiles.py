"""How many files and ports a scenario's connections need, and whether this machine allows that many."""

from __future__ import annotations

import math
import resource
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from loadproof.errors import Problem
from loadproof.plan.phases import most_requests_within, plan_phases
from loadproof.scenario.safety import is_loopback

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadproof.scenario.scenario import Scenario

MOST_CONNECTIONS: Final = 200_000
"""The most connections of any scenario: the maximum number of clients plus the maximum of requests in flight."""
_BESIDE_CONNECTIONS: Final = 100
"""Open files of a process besides its connections, with a margin."""
_PORT_RANGE: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
_REUSE: Final = Path("/proc/sys/net/ipv4/tcp_tw_reuse")
_TIME_WAIT_S: Final = 60
"""How long Linux keeps the port of a connection whose close it initiated. Source: TCP_TIMEWAIT_LEN, net/tcp.h."""
_REUSED_AFTER_S: Final = 1
"""When such a port may be used again. Source: tcp_tw_reuse in Documentation/networking/ip-sysctl.rst."""


def connections_needed(scenario: Scenario) -> int:
    """The most open connections at a time: one per client, plus in the open model one per request in flight."""
    if scenario.model == "open":
        return scenario.client_total + scenario.max_in_flight
    return scenario.client_total


def allow_open_files(connections: int) -> None:
    """Raise this process's own limit, which its children inherit, as far as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _BESIDE_CONNECTIONS
    if _number(soft) < wanted:
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (min(wanted, hard) if hard != resource.RLIM_INFINITY else wanted, hard)
        )


def open_file_problems(scenario: Scenario, *, processes: int, where: str) -> Iterator[Problem]:
    """Limits of this machine that rule out this scenario's connections, shared by this many processes."""
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
            f"needs {connections:,} connections from one address, which has fewer ports",
            "widen net.ipv4.ip_local_port_range, use source addresses, or lower the load",
            got=f"{local_ports():,}",
        )


def closing_problem(scenario: Scenario, base_url: str) -> Problem:
    """The ports needed to load a target that closes each connection after its answer, and those available."""
    held_s = _held_s(urlsplit(base_url).hostname or "")
    addresses = scenario.client_total if scenario.clients == "source-address" else 1
    opened = math.ceil(most_requests_within(scenario, plan_phases(scenario), held_s) / addresses)
    enough = "enough" if opened <= local_ports() else "too few"
    sources = f" for each of {addresses:,} client addresses" if addresses > 1 else ""
    return Problem(
        base_url,
        f"the target closes each connection after its response: the plan needs up to {opened:,} ports{sources} "
        f"(a closed port stays in use for {held_s} s); this machine has {local_ports():,}, which is {enough}",
        "have it keep connections open, add client addresses, or widen net.ipv4.ip_local_port_range",
    )


def _held_s(host: str) -> int:
    """How long a port stays taken after its connection was closed, in s."""
    try:
        reuse = _REUSE.read_text(encoding="ascii").strip()
    except OSError:
        reuse = "0"
    return _REUSED_AFTER_S if reuse == "1" or (reuse == "2" and is_loopback(host)) else _TIME_WAIT_S


def local_ports() -> int:
    """Ports for connections from one address to one server; 16,384 (RFC 6335's range) if the system doesn't say."""
    try:
        first, last = map(int, _PORT_RANGE.read_text(encoding="ascii").split())
    except (OSError, ValueError):
        return 16_384
    return last - first + 1


def _number(limit: int) -> float:
    return math.inf if limit == resource.RLIM_INFINITY else limit
