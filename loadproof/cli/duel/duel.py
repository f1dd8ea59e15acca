"""`loadproof duel`: runs two releases in turn on one machine until it is clear whether one is slower."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from loadproof.cli.console.options import (
    DEFAULT_LOCUSTFILES,
    DEFAULT_OUT,
    AnnotateOption,
    HostsOption,
    InconclusiveOption,
    LocustfilesOption,
    NotifyOption,
    OutOption,
    ScenarioArgument,
    SeedOption,
    SettingsOption,
    WorkersOption,
    checked_locustfiles,
    load_option,
    overrides,
    target_option,
)
from loadproof.cli.console.policy import Policy
from loadproof.cli.duel.arguments import check_duet, given_scenario, looks_of, on_this_machine, refuse_beside, sides_of
from loadproof.cli.duel.ending import conclude, say, show_plan
from loadproof.cli.duel.referee import DuelReferee
from loadproof.cli.preparation.preparing import RunOptions, prepare
from loadproof.cli.preparation.running import tell_ignored_settings
from loadproof.errors import InputError, LoadproofError, Problem, RunDirectoryError
from loadproof.plan.interleaving import SIDES, Side
from loadproof.run.experiments.duel import fight
from loadproof.run.experiments.serving import target_at
from loadproof.run.machine import environment
from loadproof.run.machine.extras import JUDGE, require
from loadproof.run.machine.shipped import scenario_file
from loadproof.run.processes.locust import CrewOptions
from loadproof.run.processes.stopping import StopSignal
from loadproof.rundir.duel import Duel, read_duel, resume_command, write_duel
from loadproof.rundir.files import SCENARIO, create_run_directory, write_whole
from loadproof.scenario.target.targetfile import load_target

if TYPE_CHECKING:
    from loadproof.run.assignment import Assignment
    from loadproof.scenario.target.targetfile import TargetFile

KnownOption = Annotated[
    str | None,
    target_option(metavar="URL|COMMAND", help="The last release: its URL, or a command that starts it on $PORT."),
]
NewOption = Annotated[
    str | None,
    target_option(metavar="URL|COMMAND", help="The new release: its URL, or a command that starts it on $PORT."),
]
DescriptionOption = Annotated[
    Path | None,
    target_option("--target", metavar="FILE", help="Target file with the paths, headers and limits of both releases."),
]
WaitOption = Annotated[int, target_option(metavar="SECONDS", help="How long to wait for a release to respond.", min=1)]
AaOption = Annotated[
    bool, load_option("--aa", help="Compare the baseline with itself: any difference it finds is a false alarm.")
]
DuetOption = Annotated[
    bool, load_option("--duet", help="Load both at the same time, each on half of the cores; try it with --aa first.")
]
LooksOption = Annotated[
    str | None,
    load_option(metavar="N,N,…", help="Runs per side after which the duel may end (default: 4,6,8,12)."),
]
QuickOption = Annotated[
    bool, load_option("--quick", help="Decide after 4 or 6 runs of each side: finds large differences only.")
]
ResumeOption = Annotated[
    Path | None, load_option(metavar="DIR", help="Continue an interrupted duel, in its directory.")
]


def duel(
    file: ScenarioArgument = None,
    baseline: KnownOption = None,
    candidate: NewOption = None,
    aa: AaOption = False,
    duet: DuetOption = False,
    looks: LooksOption = None,
    quick: QuickOption = False,
    resume: ResumeOption = None,
    locustfiles: LocustfilesOption = DEFAULT_LOCUSTFILES,
    settings: SettingsOption = None,
    seed: SeedOption = 1,
    target: DescriptionOption = None,
    target_wait: WaitOption = 30,
    allow_host: HostsOption = None,
    workers: WorkersOption = 1,
    out: OutOption = DEFAULT_OUT,
    inconclusive: InconclusiveOption = "fail",
    annotate: AnnotateOption = None,
    notify: NotifyOption = None,
) -> None:
    """Run two releases in turn, to see whether one is slower."""
    require(JUDGE)
    stop_signal = StopSignal()
    policy = Policy.of(inconclusive, annotate, notify)
    tell_ignored_settings()
    with stop_signal.installed():
        if resume is None:
            planned = Duel(
                scenario="",
                scenario_file=str(scenario_file(given_scenario(file)).resolve()),
                settings=overrides(settings),
                sides=sides_of(baseline, candidate, is_aa=aa),
                kind="aa" if aa else "duel",
                is_quick=quick,
                is_duet=duet,
                looks=looks_of(looks, is_quick=quick),
                seed=seed,
                target_file=str(target.resolve()) if target else None,
                locustfiles=str(checked_locustfiles(locustfiles).resolve()),
                workers=workers,
                machine=environment.machine(),
            )
        else:
            others = (file, baseline, candidate, looks, target, settings)
            is_said = aa or quick or duet or (seed, workers, locustfiles) != (1, 1, DEFAULT_LOCUSTFILES)
            refuse_beside(resume, *others, is_said=is_said)
            planned = on_this_machine(read_duel(resume), resume)
        assignments = _assignments(planned, resume, allow_host or [])
        planned = planned.model_copy(update={"scenario": assignments["baseline"].scenario.name})
        if planned.is_duet:
            check_duet(planned, resume.parent if resume else out)
        path = resume or _begun(out, planned)
        referee = DuelReferee(path, assignments, stop_signal, wait_s=target_wait)
        show_plan(path, planned, assignments["baseline"].scenario)
        with policy.telling_trouble(planned.scenario):
            ended = _fought(path, planned, referee, stop_signal)
    with policy.telling_trouble(planned.scenario):
        code = conclude(path, ended, referee.interim, referee.sides(ended), policy)
    raise typer.Exit(code)


def _fought(path: Path, planned: Duel, referee: DuelReferee, stop_signal: StopSignal) -> Duel:
    """The duel at its end; its results are kept whatever interrupts it."""
    try:
        referee.rehearse(planned)
        return fight(path, planned, referee, stop_signal)
    except LoadproofError:
        if read_duel(path).runs:
            say(f"the results so far are kept; resume with: {resume_command(path)}")
        raise


def _assignments(duel: Duel, resume: Path | None, allowed: list[str]) -> dict[Side, Assignment]:
    """The assignment of each side's runs; InputError, or UnsafeTargetError for a host that is not allowed."""
    described = load_target(Path(duel.target_file)) if duel.target_file else None
    crew = CrewOptions(Path(duel.locustfiles), duel.workers)
    assignments = {}
    for side, release in duel.sides.items():
        target = target_at(release, described, where=f"--{side}", allowed=allowed)
        assignments[side] = _assignment(duel, target, crew, resume, allowed)
    scenario = assignments["baseline"].scenario
    if assignments["candidate"].scenario != scenario:
        what = "clients would be told apart on one side only"
        raise InputError(Problem(scenario.name, what, "say `clients: shared` or `clients: {header: NAME}`"))
    if not any(threshold.expectation.metric.kind.reads_times for threshold in scenario.thresholds):
        remedy = "add the one that matters, like {endpoint: balance, expect: p(95) < 200 ms}: it decides the duel"
        raise InputError(Problem(scenario.name, "no threshold on time, so nothing to compare", remedy))
    return assignments


def _assignment(
    duel: Duel, target: TargetFile, crew: CrewOptions, resume: Path | None, allowed: list[str]
) -> Assignment:
    text = _scenario_of(resume) if resume else None
    options = RunOptions(crew, target, duel.settings, duel.seed, allow_host=allowed)
    assignment = prepare(Path(duel.scenario_file), options, text=text)
    # A run that a threshold aborts would have no values to compare.
    kept = [threshold.model_copy(update={"abort": False}) for threshold in assignment.scenario.thresholds]
    audits = [other for other in assignment.scenario.all_thresholds if other not in assignment.scenario.thresholds]
    scenario = assignment.scenario.model_copy(update={"all_thresholds": [*kept, *audits]})
    # The scenario file may change while the duel runs.
    text = text or Path(duel.scenario_file).read_text(encoding="utf-8")
    return replace(assignment, scenario=scenario, scenario_text=text)


def _scenario_of(path: Path) -> str:
    """The scenario that a duel began with, even if its file has changed since."""
    try:
        return (path / SCENARIO).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        remedy = "restore it: a duel must end with the scenario that it began with"
        raise RunDirectoryError(Problem(str(path / SCENARIO), f"can't be read: {error}", remedy)) from None


def _begun(out: Path, duel: Duel) -> Path:
    """Create the directory of a new duel, which can be resumed from now on."""
    path = create_run_directory(out, f"duel-{duel.scenario}")
    write_whole(path / SCENARIO, Path(duel.scenario_file).read_text(encoding="utf-8"))
    for side in SIDES:
        (path / side).mkdir()
    write_duel(path, duel)
    return path
