"""What `loadproof check` shows of a scenario: the load it would generate, and how many samples that would give."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from loadproof.errors import Problem
from loadproof.outcome import Outcome
from loadproof.plan.audits import DETECTING
from loadproof.plan.decidability import samples_expected
from loadproof.plan.evidence import needed_to_see
from loadproof.plan.phases import expected_requests, peak_rps, plan_phases
from loadproof.plan.refusals import refusable
from loadproof.run.machine.extras import API, missing_extra
from loadproof.run.preflight.commandproblems import used_commands
from loadproof.scenario.target.auth import readable_secret
from loadproof.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from loadproof.run.assignment import Assignment
    from loadproof.scenario.scenario import Scenario
    from loadproof.scenario.thresholds.audit import Audit


_TASKS = "tasks of one or more requests"


def plan_sentence(assignment: Assignment) -> str:
    """The load that would be generated, and for which target."""
    scenario, target = assignment.scenario, assignment.target
    recorded = "; each request has a row in the journal" if scenario.records_requests else ""
    if scenario.locustfile is not None:
        whom = " and ".join(assignment.crew.hosts) or (target.base_url if target else "the reference API")
        what = f"{scenario.client_total:,} users of {scenario.locustfile} for {format_duration(scenario.duration_s)}"
        sent = f"how much they send is up to the locustfile{recorded}"
        return f"{assignment.scenario_file}: up to {what}, against {whom}; {sent}"
    total = sum(expected_requests(scenario, plan_phases(scenario)).values())
    whom = target.base_url if target else "the reference API"
    told_apart = scenario.clients if isinstance(scenario.clients, str) else f"header {scenario.clients.header}"
    identity = "one client as the target sees it" if told_apart == "shared" else f"clients by {told_apart}"
    # How many requests a task sends is known only where they are named.
    sent, unit = ("requests of whole journeys", "requests") if _has_journeys(scenario) else (_TASKS, "tasks")
    return (
        f"{assignment.scenario_file}: {total:,.0f} {sent} in "
        f"{format_duration(scenario.duration_s)} to {whom}, "
        f"up to {peak_rps(scenario):,.0f} {unit}/s on average over a phase, from {scenario.client_total:,} clients "
        f"({scenario.model} model, {identity}){recorded}"
    )


def _has_journeys(scenario: Scenario) -> bool:
    return any(mix.requests for mix in scenario.mix.values())


def commands_sentence(assignment: Assignment) -> str:
    """The commands that would run on this machine, as the target file writes them; empty if none."""
    used = {} if assignment.target is None else used_commands(assignment.scenario, assignment.target)
    if not used:
        return ""
    lines = (f"  {name}: {shlex.join(command.run)}" for name, command in used.items())
    return "\n".join(["on this machine, it runs", *lines])


def plan_notes(assignment: Assignment) -> Iterator[Problem]:
    """What the thresholds leave unchecked, extras that are not installed, and secrets sent without encryption."""
    scenario, target = assignment.scenario, assignment.target
    expected = expected_requests(scenario, plan_phases(scenario))
    yield from refusable(scenario, expected, where=str(assignment.scenario_file))
    if target is None:
        yield from missing_extra(API)
    elif url := readable_secret(target):
        what = "the client's secret and its tokens are sent without encryption"
        remedy = "use https if the server supports it"
        yield Problem("target auth.oauth2.token_url", what, remedy, got=url)


def plan_table(scenario: Scenario) -> Table:
    expected = expected_requests(scenario, plan_phases(scenario))
    table = Table()
    table.add_column("threshold")
    table.add_column("where")
    table.add_column("expected samples", justify="right")
    for threshold in scenario.thresholds:
        samples = f"{samples_expected(scenario, threshold, expected):,.0f}" if expected else "?"
        if threshold.outcome is not Outcome.OK:
            # How many requests have this outcome depends on the target.
            samples = f"0 to {samples} ({threshold.outcome})"
        table.add_row(Text(threshold.expect), Text(threshold.scope), samples)
    for audit in scenario.audits:
        table.add_row(Text(f"audit: {audit}"), Text("all requests"), _audited(scenario, audit, expected))
    return table


def _audited(scenario: Scenario, audit: Audit, expected: Mapping[tuple[str, str], float]) -> str:
    """Requests that an audit will see, and how many it needs to find the rarest loss it must detect."""
    if not expected:
        return "?"
    planned = f"{sum(expected.values()):,.0f}"
    return f"{planned} ({needed_to_see(scenario.one_in(audit)):,} needed)" if audit in DETECTING else planned
