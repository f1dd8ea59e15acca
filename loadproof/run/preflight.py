"""What would make a checked scenario a waste of time or a harm, found before the first packet."""

from __future__ import annotations

import os
import ssl
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from loadproof.errors import Problem
from loadproof.plan.decidability import undecidable
from loadproof.plan.excess import exceeded_limits
from loadproof.plan.phases import expected_requests, plan_phases
from loadproof.run.locustfiles import known_endpoints, misfits
from loadproof.run.openfiles import open_file_problems
from loadproof.scenario.safety import is_loopback
from loadproof.scenario.scenario import HeaderClients
from loadproof.scenario.strict import nearest
from loadproof.scenario.targetheaders import FRAMING
from loadproof.scenario.targetvariables import variable_problems

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from loadproof.run.locust import CrewOptions
    from loadproof.scenario.scenario import Scenario
    from loadproof.scenario.targetfile import TargetFile


def preflight(
    scenario: Scenario,
    *,
    where: str,
    seed: int,
    limits: Mapping[str, str],
    target: TargetFile | None,
    crew: CrewOptions,
) -> Iterator[Problem]:
    """Problems of a run of this scenario against this target; None: the embedded one."""
    if target is not None:
        yield from _authority_problems(target)
        yield from variable_problems(target, set(scenario.mix))
    yield from _client_header_problems(scenario, target, where)
    known = known_endpoints(crew.locustfiles)
    for endpoint in scenario.mix:
        if endpoint not in known:
            yield Problem(
                f"{where} mix.{endpoint}",
                f"no such file in {crew.locustfiles.name}/",
                nearest(endpoint, known),
                got=endpoint,
            )
    yield from misfits(crew.locustfiles, scenario.mix, is_open=scenario.model == "open")
    spans = plan_phases(scenario)
    yield from undecidable(scenario, expected_requests(scenario, spans), where=where)
    if not scenario.expect_throttling:
        for excess in exceeded_limits(scenario, spans, limits, seed):
            yield Problem(
                f"{where} mix.{excess.endpoint}",
                f"a client would exceed the declared limit of {excess.limit}",
                "send less often, add clients, or say `expect_throttling: true`",
                got=f"{excess.sent} requests",
            )
    # An embedded target has all connections in one process.
    yield from open_file_problems(scenario, processes=1 if target is None else crew.local_workers, where=where)
    if scenario.clients == "source-address":
        host = urlsplit(target.base_url).hostname or "" if target else "127.0.0.1"
        yield from _address_problems(host, where)


def _authority_problems(target: TargetFile) -> Iterator[Problem]:
    """OpenSSL would say nothing of a file that isn't there, and then trust nobody."""
    variables = ssl.get_default_verify_paths()
    file, directory = (os.environ.get(v) for v in (variables.openssl_cafile_env, variables.openssl_capath_env))
    if not target.base_url.startswith("https:"):
        return
    if file is not None:
        try:
            ssl.create_default_context(cafile=file)
        except OSError as error:
            what = f"no certificates can be read from it: {error.strerror or error}"
            yield Problem(variables.openssl_cafile_env, what, "give a PEM file, or unset it", got=file)
    if directory is not None and not Path(directory).is_dir():
        yield Problem(variables.openssl_capath_env, "no such directory", "correct or unset it", got=directory)


def _client_header_problems(scenario: Scenario, target: TargetFile | None, where: str) -> Iterator[Problem]:
    if not isinstance(scenario.clients, HeaderClients):
        return
    name = scenario.clients.header
    if name.lower() in FRAMING | {"host"}:
        yield Problem(f"{where} clients", "a header that can't tell clients apart", "use another one", got=name)
    if target is not None and name.lower() in map(str.lower, target.headers):
        what = "the target file sends this header with the same value for all"
        yield Problem(f"{where} clients", what, "remove it there, or use another one", got=name)


def _address_problems(host: str, where: str) -> Iterator[Problem]:
    remedy = "use `clients: {header: NAME}` or `clients: shared`"
    if not is_loopback(host):
        yield Problem(f"{where} clients", "source addresses tell clients apart on loopback only", remedy, got=host)
    elif ":" in host:
        what = "clients' source addresses are in 127.0.0.0/8, from where no IPv6 address is reached"
        yield Problem(f"{where} clients", what, f"have the target listen on 127.0.0.1, or {remedy}", got=host)
    elif sys.platform != "linux":
        yield Problem(f"{where} clients", "this system has one loopback address", remedy, got=sys.platform)
