"""Turns command-line arguments into assignments that are ready to run."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from rich.text import Text

from loadproof.cli.console.options import console
from loadproof.cli.console.terminal import note
from loadproof.cli.preparation.plainoptions import hosts_named_in
from loadproof.cli.preparation.planview import commands_sentence, plan_notes, plan_sentence, plan_table
from loadproof.errors import InputError, LoadproofError, Problem, escaped
from loadproof.run.assignment import Assignment, declared_limits
from loadproof.run.machine.shipped import scenario_file
from loadproof.run.notifications import shown_arguments
from loadproof.run.preflight.preflight import has_many_addresses, host_of, preflight
from loadproof.scenario.loading import ContradictionError, load_scenario
from loadproof.scenario.safety import allowed_hosts
from loadproof.scenario.target.targetfile import TargetFile, load_target
from loadproof.scenario.target.variables import check_hosts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from loadproof.run.processes.locust import CrewOptions
    from loadproof.scenario.scenario import Scenario


@dataclass(frozen=True)
class RunOptions:
    """A run's command-line options, apart from its scenario."""

    crew: CrewOptions
    target: TargetFile | None = None
    """None: the embedded target."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Overrides of the scenario."""
    seed: int = 1
    release: str = ""
    allow_host: Sequence[str] = ()
    is_to_run: bool = True
    """False: nothing is sent."""
    may_command: bool = False
    """Whether the target file's commands may be run."""
    is_judged: bool = True
    """False: not by the scenario's own phases, because a search makes trials with phases of its own."""


def allowed_target(path: Path | None, allow_host: list[str] | None) -> TargetFile | None:
    """The target, if it may be loaded; UnsafeTargetError otherwise."""
    target = load_target(path)
    if target is not None:
        check_hosts(target, allow_host or [])
    return target


def prepare(file: Path, options: RunOptions, *, text: str | None = None) -> Assignment:
    """The scenario with its overrides, valid for this target; InputError with all problems.

    `text` replaces the content of the file.
    """
    path = file if text else scenario_file(file)
    scenario, problems = _loaded(path, options.settings, text)
    if scenario.locustfile is not None:
        options = _with_plain_locustfile(options, path.parent / scenario.locustfile)
    target, crew = options.target, options.crew
    scenario = _with_fitting_clients(scenario, target)
    problems += preflight(
        scenario,
        where=str(file),
        seed=options.seed,
        limits=declared_limits(scenario, target),
        target=target,
        crew=crew,
        is_sound=not problems,
        is_to_run=options.is_to_run,
        may_command=options.may_command,
        is_judged=options.is_judged,
    )
    if problems:
        raise InputError(problems)
    command = shlex.join(["loadproof", *shown_arguments(sys.argv[1:])])
    return Assignment(scenario, file, target, options.seed, command, crew, scenario_text=text, release=options.release)


def _loaded(path: Path, settings: Mapping[str, str], text: str | None) -> tuple[Scenario, list[Problem]]:
    """The scenario and its contradictions, if any, so that they can be reported together with other problems."""
    try:
        return load_scenario(path, settings, text=text), []
    except ContradictionError as error:
        return error.scenario, list(error.problems)


def _with_plain_locustfile(options: RunOptions, locustfile: Path) -> RunOptions:
    """Run the locustfile's users instead of ours, against the host they name unless a target is given."""
    allow_host = options.allow_host
    crew = replace(options.crew, locustfiles=locustfile, allowed_hosts=allowed_hosts(allow_host))
    if options.target is None and (hosts := hosts_named_in(locustfile, allow_host if options.is_to_run else None)):
        return replace(options, crew=replace(crew, hosts=tuple(hosts)), target=TargetFile(base_url=hosts[0]))
    return replace(options, crew=crew)


def _with_fitting_clients(scenario: Scenario, target: TargetFile | None) -> Scenario:
    """One shared client, with a note, if the scenario doesn't say what identifies clients and addresses can't."""
    if "clients" in scenario.model_fields_set or has_many_addresses(target):
        return scenario
    why = "a proxy is in between" if target and target.proxy else f"{host_of(target)} isn't on IPv4 loopback"
    remedy = "to tell them apart, set `clients: {header: NAME}`, if the target takes them from a header"
    note(f"{scenario.name}: all users share one client address ({escaped(why)}); {remedy}")
    return scenario.model_copy(update={"clients": "shared"})


def prepare_all(files: Sequence[Path], options: RunOptions) -> list[Assignment]:
    """Prepare all scenarios and print what each would do; InputError with the problems of all of them."""
    problems: list[Problem] = []
    assignments = []
    for file in files:
        try:
            assignment = prepare(file, options)
        except LoadproofError as error:
            problems += error.problems
        else:
            assignments.append(assignment)
            _show_plan(assignment)
    if problems:
        raise InputError(problems)
    return assignments


def _show_plan(assignment: Assignment) -> None:
    console.print(Text(plan_sentence(assignment)))
    console.print(plan_table(assignment.scenario))
    if started := commands_sentence(assignment):
        console.print(Text(started), soft_wrap=True)
    for problem in plan_notes(assignment):
        console.print(Text(f"note: {problem}"), soft_wrap=True)
