"""Finds faults that this run could not inject: nothing to stop, or no traffic through the proxy."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from loadproof.errors import Problem
from loadproof.run.servers.sharedredis import VARIABLE
from loadproof.scenario.faults import CommandFault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadproof.run.processes.locust import CrewOptions
    from loadproof.scenario.faults import Fault
    from loadproof.scenario.scenario import Scenario
    from loadproof.scenario.target.targetfile import TargetFile

_OTHERWISE: Final = "use a fault of the network, like timeout or reset_peer, or leave it out"


def fault_problems(
    scenario: Scenario, target: TargetFile | None, crew: CrewOptions, *, where: str
) -> Iterator[Problem]:
    """One problem per impossible fault; `target` is None for the embedded target."""
    for index, fault in enumerate(scenario.faults):
        if isinstance(fault, CommandFault):
            continue
        if fault.of == "redis":
            problem = _of_redis(fault, target)
        else:
            problem = _of_network(target, crew) if fault.is_of_network else _of_process(target)
        if problem is not None:
            what, remedy = problem
            yield Problem(f"{where} faults[{index}]", what, remedy, got=f"{fault.fault} of {fault.of}")


def _of_redis(fault: Fault, target: TargetFile | None) -> tuple[str, str] | None:
    if target is not None:
        return "the run doesn't control your own target's Redis", "leave it out, or load the embedded target"
    if os.environ.get(VARIABLE) and not fault.is_of_network:
        return f"only processes that the run starts itself can be stopped, and {VARIABLE}'s isn't one", _OTHERWISE
    return None


def _of_process(target: TargetFile | None) -> tuple[str, str] | None:
    if target is not None:
        return "only processes that the run starts itself can be stopped, and your own target isn't one", _OTHERWISE
    return None


def _of_network(target: TargetFile | None, crew: CrewOptions) -> tuple[str, str] | None:
    if crew.listen is not None:
        what = "workers on other machines can't reach the proxy in which it happens, which listens on this machine"
        return what, "leave out --listen"
    if target is not None and target.proxy is not None:
        return "the target is reached through a proxy of your own", "leave out the target's `proxy`, or the fault"
    if crew.hosts:
        return "the locustfile's users set their own hosts", "set TARGET_URL instead of `host`"
    return None
