"""What to run, and what its manifest says before it starts."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loadproof.http.tls import authorities
from loadproof.plan.phases import plan_phases
from loadproof.run.machine import environment
from loadproof.run.target.embedded import deliberate_faults
from loadproof.run.target.reference import AUDITED, is_asked
from loadproof.rundir.manifest import USERS_CODE, Manifest, TargetFacts
from loadproof.scenario.target.operations import Endpoints
from loadproof.scenario.target.way import trust_of

if TYPE_CHECKING:
    from loadproof.run.processes.locust import CrewOptions
    from loadproof.scenario.scenario import Scenario
    from loadproof.scenario.target.limits import Written
    from loadproof.scenario.target.targetfile import TargetFile


@dataclass(frozen=True)
class Assignment:
    """What to run: a scenario against a target (None: the embedded one)."""

    scenario: Scenario
    scenario_file: Path
    """As given: a path, or the bare name of a shipped scenario; `command line` if the options are the scenario."""
    target: TargetFile | None
    seed: int
    command: str
    crew: CrewOptions
    scenario_text: str | None = None
    """None: the content of the file."""
    release: str = ""
    """The name of the version under test, as given with --release."""


def _facts_of(target: TargetFile) -> dict[str, Any]:
    return {
        "access": target.access,
        "headers": target.headers,
        "auth": target.auth,
        "account_ids": target.account_ids,
        "tls": target.tls,
        "proxy": target.proxy,
        "endpoints": target.endpoints,
        "exclusive_accounts": target.exclusive_accounts,
    }


def _facts_of_embedded(scenario: Scenario) -> dict[str, Any]:
    """The embedded target has a new ledger, and exposes all of it if an audit needs it."""
    shown = AUDITED if is_asked(scenario) else {}
    return {"faults": deliberate_faults(), "exclusive_accounts": True, "endpoints": Endpoints.model_validate(shown)}


def declared_limits(scenario: Scenario, target: TargetFile | None) -> dict[str, Written]:
    """The target's declared limits per client, by endpoint."""
    if target is not None:
        return dict(target.limits)
    return dict(scenario.settings.limits) if scenario.settings.limiter != "off" else {}


def _users_code(assignment: Assignment) -> str:
    kinds = {entry.like or name for name, entry in assignment.scenario.mix.items()}
    return environment.users_code(assignment.crew.locustfiles, kinds)


def new_manifest(assignment: Assignment, run_id: str, base_url: str) -> Manifest:
    """The manifest of a run that is about to start; the base URL of an embedded target may not be known yet."""
    scenario, target = assignment.scenario, assignment.target
    return Manifest(
        run_id=run_id,
        scenario=scenario,
        scenario_file=str(assignment.scenario_file),
        seed=assignment.seed,
        command=assignment.command,
        target=TargetFacts(
            kind="embedded" if target is None else "own",
            base_url=base_url,
            limits=declared_limits(scenario, target),
            authorities=authorities(trust_of(target.tls if target else None)) if base_url.startswith("https:") else {},
            **(_facts_of_embedded(scenario) if target is None else _facts_of(target)),
        ),
        phases=plan_phases(scenario),
        workers=assignment.crew.workers,
        revision=environment.revision(),
        release=assignment.release,
        versions={**environment.versions(), USERS_CODE: _users_code(assignment)},
        host=environment.host(),
        start_unix_s=time.time(),
    )
