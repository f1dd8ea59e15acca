"""What was asked for on the command line to assignments that are fit to run."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

from rich.text import Text

from loadproof.cli.options import console
from loadproof.cli.planview import plan_sentence, plan_table
from loadproof.errors import InputError, LoadproofError, Problem
from loadproof.run.assignment import Assignment, declared_limits
from loadproof.run.preflight import preflight
from loadproof.scenario.loading import ContradictionError, load_scenario
from loadproof.scenario.safety import check_host
from loadproof.scenario.targetfile import TargetFile, load_target

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from loadproof.run.locust import CrewOptions


def allowed_target(path: Path | None, allow_host: list[str] | None) -> TargetFile | None:
    """The target, if it may be loaded; UnsafeTargetError otherwise."""
    target = load_target(path)
    if target is not None:
        check_host(target.base_url, allow_host or [])
    return target


def prepare(
    file: Path,
    target: TargetFile | None,
    *,
    settings: Mapping[str, str] | None = None,
    seed: int,
    crew: CrewOptions,
) -> Assignment:
    """The scenario with its overrides, fit for this target; InputError with all that is wrong."""
    problems: list[Problem] = []
    try:
        scenario = load_scenario(file, settings)
    except ContradictionError as error:
        problems, scenario = list(error.problems), error.scenario
    problems += preflight(
        scenario,
        where=str(file),
        seed=seed,
        limits=declared_limits(scenario, target),
        target=target,
        crew=crew,
        is_sound=not problems,
    )
    if problems:
        raise InputError(problems)
    return Assignment(
        scenario=scenario,
        scenario_file=file,
        target=target,
        seed=seed,
        command=shlex.join(["loadproof", *sys.argv[1:]]),
        crew=crew,
    )


def prepare_all(
    files: list[Path],
    target: TargetFile | None,
    *,
    settings: Mapping[str, str] | None = None,
    seed: int,
    crew: CrewOptions,
) -> list[Assignment]:
    """All of the scenarios, and on the terminal what each would do; InputError with all that is wrong in any."""
    problems: list[Problem] = []
    assignments = []
    for file in files:
        try:
            assignment = prepare(file, target, settings=settings, seed=seed, crew=crew)
        except LoadproofError as error:
            problems += error.problems
        else:
            assignments.append(assignment)
            console.print(Text(plan_sentence(assignment)))
            console.print(plan_table(assignment.scenario))
    if problems:
        raise InputError(problems)
    return assignments
