"""Runs each task once against the target and returns each request's answer, before any load is sent."""

from __future__ import annotations

import json
import secrets
from contextlib import ExitStack
from pathlib import Path

from loadproof import variables
from loadproof.api import signing
from loadproof.errors import Problem, TargetError
from loadproof.generator.inspection.dryrequest import DryRequest
from loadproof.run.assignment import Assignment, new_manifest
from loadproof.run.processes import children
from loadproof.run.target.reference import reference_target
from loadproof.scenario.target.variables import permissions_of


def dry_run(assignment: Assignment) -> list[DryRequest]:
    """Send as one client of the scenario; starts the embedded target if the assignment has no other."""
    secret = {variables.WEBHOOK_SECRET: signing.new_webhook_secret()}
    target = assignment.target
    with ExitStack() as stack:
        directory = stack.enter_context(children.empty_directory())
        if target is None:
            reference = reference_target(
                assignment.scenario, secret=secret, cores=set(), directory=directory, stop_requested=lambda: False
            )
            base_url = stack.enter_context(reference).base_url
        else:
            base_url, secret = target.base_url, {}
        manifest = new_manifest(assignment, f"dry-run-{secrets.token_hex(8)}", base_url)
        crew = assignment.crew
        permitted = permissions_of(manifest.target, crew.hosts, crew.allowed_hosts)
        process = children.run_to_end(
            children.python("loadproof.generator.inspection.dryrunner", str(crew.locustfiles.resolve())),
            # A plain locustfile may open files relative to the user's working directory.
            directory=Path.cwd() if assignment.scenario.locustfile else directory,
            environment=children.environment_with(secret | permitted),
            text=manifest.model_dump_json(),
        )
    if process.returncode:
        printed = process.stderr.strip()[-200:]
        raise TargetError(Problem("dry run", "ended early", "see what it printed last", got=printed))
    return [DryRequest(**json.loads(line)) for line in process.stdout.splitlines()]
