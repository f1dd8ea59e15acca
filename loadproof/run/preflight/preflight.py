"""Finds what would make running a valid scenario pointless or harmful, before the first packet is sent."""

from __future__ import annotations

import os
import ssl
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from loadproof.errors import InputError, Problem
from loadproof.plan.audits import unauditable, undetectable, unshown
from loadproof.plan.decidability import undecidable
from loadproof.plan.excess import exceeded_limits
from loadproof.plan.phases import expected_requests, plan_phases
from loadproof.plan.refusals import hardly_expected
from loadproof.plan.unreachable import kinds_without_load, rates_beyond_plan
from loadproof.run.machine.extras import API, missing_extra
from loadproof.run.machine.openfiles import open_file_problems
from loadproof.run.machine.shipped import LOCUSTFILES
from loadproof.run.preflight.commandproblems import command_problems
from loadproof.run.preflight.faultproblems import fault_problems
from loadproof.run.preflight.feederfiles import feeder_problems
from loadproof.run.preflight.locustfiles import known_endpoints, misfits
from loadproof.run.preflight.plainproblems import inspect_locustfile, plain_locustfile_problems
from loadproof.run.preflight.targetkeys import unheeded
from loadproof.run.servers.sharedredis import redis_problems
from loadproof.run.target.embedded import deliberate_faults
from loadproof.scenario.safety import is_loopback
from loadproof.scenario.scenario import HeaderClients
from loadproof.scenario.strict import nearest
from loadproof.scenario.target.auth import AUTHORIZATION
from loadproof.scenario.target.headers import FRAMING
from loadproof.scenario.target.variables import secret_variables, variable_problems
from loadproof.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from loadproof.run.processes.locust import CrewOptions
    from loadproof.scenario.scenario import Scenario
    from loadproof.scenario.target.limits import Written
    from loadproof.scenario.target.targetfile import TargetFile

_ONE_REQUEST_A_TASK: Final = frozenset({"balance", "health", "transactions", "webhooks"})
"""The shipped users that send one request per task."""


def preflight(
    scenario: Scenario,
    *,
    where: str,
    seed: int,
    limits: Mapping[str, Written],
    target: TargetFile | None,
    crew: CrewOptions,
    is_sound: bool = True,
    is_to_run: bool = True,
    may_command: bool = False,
    is_judged: bool = True,
) -> Iterator[Problem]:
    """Problems with running this scenario against this target (None: the embedded one).

    Unless `is_sound`, the scenario contradicts itself and has no plan to check. Unless `is_to_run`, packages that a run
    needs may be missing. Unless `may_command`, using commands of the target file is a problem. Unless `is_judged`, it
    doesn't matter what the scenario's own phases can show.
    """
    if target is not None:
        yield from _authority_problems(target)
        yield from variable_problems(target, {*scenario.mix, *scenario.audits})
        yield from unshown(scenario, target.endpoints)
    else:
        if is_to_run:
            yield from missing_extra(API)
        yield from redis_problems(scenario, where)
    yield from _client_header_problems(scenario, target, where)
    if scenario.locustfile is None:
        yield from _mix_problems(scenario, limits, crew, target, where=where)
    else:
        yield from _plain_locustfile_problems(scenario, crew, target)
        yield from _shared_limit_problems(scenario, limits, where=where)
    if is_sound:
        yield from _plan_problems(scenario, limits, seed, where=where, crew=crew, is_judged=is_judged)
        # The embedded target holds all connections in one process.
        yield from open_file_problems(scenario, processes=1 if target is None else crew.local_workers, where=where)
    if scenario.clients == "source-address":
        yield from _address_problems(target, where)
    yield from fault_problems(scenario, target, crew, where=where)
    yield from command_problems(scenario, target, where=where, is_allowed=may_command)


def _mix_problems(
    scenario: Scenario,
    limits: Mapping[str, Written],
    crew: CrewOptions,
    target: TargetFile | None,
    *,
    where: str,
) -> Iterator[Problem]:
    known = known_endpoints(crew.locustfiles)
    for kind, mix in scenario.mix.items():
        file = mix.like or kind
        if file not in known:
            what = f"no such file in {crew.locustfiles.name}/"
            yield Problem(f"{where} mix.{kind}{'.like' if mix.like else ''}", what, nearest(file, known), got=file)
        if mix.like and kind in known:
            what = f"{crew.locustfiles.name}/ already has a {kind}.py, with other users"
            yield Problem(f"{where} mix.{kind}", what, "give these another name", got=f"like {mix.like}")
    yield from _locustfile_problems(scenario, crew, target)
    yield from _limit_problems(scenario, limits, [*known, *scenario.endpoints], target, where=where)


def _plain_locustfile_problems(scenario: Scenario, crew: CrewOptions, target: TargetFile | None) -> Iterator[Problem]:
    """Problems with a plain locustfile itself; nothing more is known before it runs."""
    secret, where = () if target is None else secret_variables(target), crew.locustfiles.name
    try:
        file = inspect_locustfile(crew.locustfiles, tuple(secret))
        yield from plain_locustfile_problems(file, scenario, where)
        yield from () if target is None else unheeded(target, file, where)
    except InputError as error:
        yield from error.problems


def _shared_limit_problems(scenario: Scenario, limits: Mapping[str, Written], *, where: str) -> Iterator[Problem]:
    """Limits per client when all users of a locustfile share one address, so that the target sees one client."""
    if limits and not scenario.expect_throttling:
        what = "the target limits each client, and all of a locustfile's users count as one"
        remedy = "turn its limits off (`settings: {limiter: off}` if it is embedded), or say `expect_throttling: true`"
        yield Problem(f"{where} locustfile", what, remedy, got=", ".join(sorted(limits)))


def _locustfile_problems(scenario: Scenario, crew: CrewOptions, target: TargetFile | None) -> Iterator[Problem]:
    secret = () if target is None else secret_variables(target)
    try:
        yield from misfits(crew.locustfiles, scenario, tuple(secret))
    except InputError as error:
        yield from error.problems


def _plan_problems(
    scenario: Scenario, limits: Mapping[str, Written], seed: int, *, where: str, crew: CrewOptions, is_judged: bool
) -> Iterator[Problem]:
    if scenario.locustfile is not None:
        # What a locustfile's users send isn't known before they run.
        yield from hardly_expected(scenario.with_requests(["all requests"]), {}, where=where)
        return
    spans = plan_phases(scenario)
    expected = expected_requests(scenario, spans)
    yield from kinds_without_load(scenario, where=where)
    yield from feeder_problems(scenario, crew.locustfiles, expected, where=where)
    yield from hardly_expected(scenario, expected, where=where)
    if is_judged:
        yield from undecidable(scenario, expected, where=where)
        yield from unauditable(scenario, spans, limits, seed, where=where)
        yield from undetectable(scenario, spans, expected, where=where)
        if crew.locustfiles.resolve() == LOCUSTFILES.resolve() and scenario.mix.keys() <= _ONE_REQUEST_A_TASK:
            yield from rates_beyond_plan(scenario, expected, where=where)
    if not scenario.expect_throttling:
        for excess in exceeded_limits(scenario, spans, limits, seed):
            kind = scenario.spenders_of(excess.endpoint)[0]
            of = f" for {excess.endpoint}" if excess.endpoint != kind else ""
            yield Problem(
                f"{where} mix.{kind}",
                f"a client would exceed the declared limit of {excess.limit}{of}",
                "send less often, add clients, or say `expect_throttling: true`",
                got=f"{excess.sent} requests in {format_duration(excess.within_s)}",
            )


def _limit_problems(
    scenario: Scenario,
    limits: Mapping[str, Written],
    known: list[str],
    target: TargetFile | None,
    *,
    where: str,
) -> Iterator[Problem]:
    """Limits for unknown kinds of traffic, and expected throttling although nothing throttles."""
    for name in limits if target is not None else ():
        if name not in known:
            yield Problem(
                f"target limits.{name}", "a limit for an unknown kind of traffic", nearest(name, known), got=name
            )
    if target is None and not limits and not deliberate_faults():
        for key in ("when_throttled", "expect_throttling"):
            if key in scenario.model_fields_set:
                what, remedy = "no effect: the embedded target's limiter is off", "leave it out, or turn the limiter on"
                yield Problem(f"{where} {key}", what, remedy, got=str(getattr(scenario, key)))


def _authority_problems(target: TargetFile) -> Iterator[Problem]:
    """Missing files of certificate authorities: OpenSSL doesn't report them, and would trust no certificate."""
    variables = ssl.get_default_verify_paths()
    file, directory = (os.environ.get(v) for v in (variables.openssl_cafile_env, variables.openssl_capath_env))
    trusts_system = target.tls is None or (target.tls.verify and target.tls.ca_file is None)
    if not target.base_url.startswith("https:") or not trusts_system:
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
    sent = [] if target is None else [*target.headers, *([AUTHORIZATION] if target.auth else [])]
    if name.lower() in map(str.lower, sent):
        what = "the target file sends this header with the same value for all"
        yield Problem(f"{where} clients", what, "remove it there, or use another one", got=name)


def has_many_addresses(target: TargetFile | None) -> bool:
    """Whether each client can reach the target (None: the embedded one) from its own address in 127.0.0.0/8."""
    host = host_of(target)
    return is_loopback(host) and ":" not in host and (target is None or target.proxy is None)


def host_of(target: TargetFile | None) -> str:
    return urlsplit(target.base_url).hostname or "" if target else "127.0.0.1"


def _address_problems(target: TargetFile | None, where: str) -> Iterator[Problem]:
    remedy, host = "use `clients: {header: NAME}` or `clients: shared`", host_of(target)
    if target is not None and target.proxy is not None:
        yield Problem(f"{where} clients", "behind a proxy, clients' source addresses are the proxy's", remedy)
    elif ":" in host and is_loopback(host):
        what = "clients' source addresses are in 127.0.0.0/8, which can't reach IPv6 addresses"
        yield Problem(f"{where} clients", what, f"have the target listen on 127.0.0.1, or {remedy}", got=host)
    elif not has_many_addresses(target):
        what = "source addresses tell clients apart on loopback (127.0.0.0/8) only"
        yield Problem(f"{where} clients", what, remedy, got=host)
    elif sys.platform != "linux":
        yield Problem(f"{where} clients", "this system has only one loopback address", remedy, got=sys.platform)
