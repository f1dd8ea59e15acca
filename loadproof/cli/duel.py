"""`loadproof duel`: two releases in turn on one machine, until it is clear whether one of them is slower."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from loadproof.cli import judging
from loadproof.cli.duelending import conclude, resume_command, say, show_plan
from loadproof.cli.dueljudging import DuelReferee
from loadproof.cli.options import (
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
from loadproof.cli.preparing import RunOptions, prepare
from loadproof.cli.running import tell_ignored_settings
from loadproof.errors import InputError, LoadproofError, Problem, RunDirectoryError
from loadproof.plan.interleaving import SIDES, Side
from loadproof.run import environment
from loadproof.run.duel import fight, looks_problem
from loadproof.run.extras import JUDGE, require
from loadproof.run.lane import LEAST_CORES
from loadproof.run.locust import CrewOptions
from loadproof.run.notify import channels_of
from loadproof.run.serving import target_at
from loadproof.run.shipped import scenario_file
from loadproof.run.stopping import StopSignal
from loadproof.rundir.duel import Duel, read_duel, write_duel
from loadproof.rundir.files import SCENARIO, create_run_directory, write_whole
from loadproof.scenario.targetfile import load_target

if TYPE_CHECKING:
    from loadproof.run.assignment import Assignment
    from loadproof.scenario.targetfile import TargetFile

LOOKS: Final = (4, 6, 8, 12)
QUICK_LOOKS: Final = (4, 6)

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
WaitOption = Annotated[int, target_option(metavar="SECONDS", help="How long to wait for a release to answer.", min=1)]
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
    policy = judging.Policy(inconclusive, annotate, channels_of(notify or ()))
    tell_ignored_settings()
    with stop_signal.installed():
        if resume is None:
            planned = Duel(
                scenario="",
                scenario_file=str(scenario_file(_given(file)).resolve()),
                settings=overrides(settings),
                sides=_sides(baseline, candidate, is_aa=aa),
                kind="aa" if aa else "duel",
                is_quick=quick,
                is_duet=duet,
                looks=_looks(looks, is_quick=quick),
                seed=seed,
                target_file=str(target.resolve()) if target else None,
                locustfiles=str(checked_locustfiles(locustfiles).resolve()),
                workers=workers,
                machine=environment.machine(),
            )
        else:
            others = (file, baseline, candidate, looks, target, settings)
            _refuse_beside(resume, *others, is_said=aa or quick or duet)
            planned = read_duel(resume)
        assignments = _assignments(planned, resume, allow_host or [])
        planned = planned.model_copy(update={"scenario": assignments["baseline"].scenario.name})
        if planned.is_duet:
            _check_duet(planned, resume.parent if resume else out)
        path = resume or _begun(out, planned)
        referee = DuelReferee(path, assignments, stop_signal, wait_s=target_wait)
        show_plan(path, planned, assignments["baseline"].scenario)
        try:
            referee.rehearse(planned)
            ended = fight(path, planned, referee, stop_signal)
        except LoadproofError:
            if read_duel(path).runs:
                say(f"what was measured stays; go on with: {resume_command(path)}")
            raise
    raise typer.Exit(conclude(path, ended, referee.interim, referee.sides(ended), policy))


def _given(file: Path | None) -> Path:
    if file is None:
        raise InputError(Problem("SCENARIO", "missing", "give a scenario file, or --resume DIR"))
    return file


def _sides(baseline: str | None, candidate: str | None, *, is_aa: bool) -> dict[Side, str]:
    """InputError if they can't be compared."""
    if baseline is None:
        raise InputError(Problem("--baseline", "missing", "give the last release's URL, or the command that starts it"))
    if is_aa:
        if candidate is not None:
            raise InputError(Problem("--aa", "compares the baseline with itself", "leave out --candidate"))
        return dict.fromkeys(SIDES, baseline)
    if candidate is None:
        remedy = "give the new release's URL or command, or --aa to compare the baseline with itself"
        raise InputError(Problem("--candidate", "missing", remedy))
    if baseline.strip().rstrip("/") == candidate.strip().rstrip("/"):
        remedy = "give another release, or --aa instead of it to see how often equals are called different"
        raise InputError(Problem("--candidate", "the same as --baseline", remedy, got=candidate))
    return {"baseline": baseline, "candidate": candidate}


def _looks(text: str | None, *, is_quick: bool) -> tuple[int, ...]:
    """InputError if nothing can be decided at them."""
    if text is None:
        return QUICK_LOOKS if is_quick else LOOKS
    if is_quick:
        raise InputError(Problem("--looks", "contradicts --quick, which has its own", "leave one of them out"))
    parts = [part.strip() for part in text.split(",")]
    is_list = all(part.isascii() and part.isdecimal() and len(part) < 5 for part in parts)
    looks = tuple(map(int, parts)) if is_list else ()
    what = looks_problem(looks) if is_list else "not a list of numbers"
    if what is not None:
        raise InputError(Problem("--looks", what, "write even numbers that grow, like 4,6,8,12", got=text))
    return looks


def _check_duet(duel: Duel, reports: Path) -> None:
    """InputError if this machine has no two halves, or nobody has shown that they are alike."""
    from loadproof.analysis.compare.falsealarms import false_alarms

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    if cores < LEAST_CORES:
        what = f"two releases and two generators at the same time need {LEAST_CORES} cores"
        raise InputError(Problem("--duet", what, "leave it out: the releases then take turns", got=str(cores)))
    if duel.workers > 1:
        raise InputError(Problem("--duet", "each half has one generator", "leave out --workers", got=str(duel.workers)))
    alarms = false_alarms(reports, duel)
    if duel.kind != "aa" and (alarms.found or not alarms.duels):
        seen = str(alarms) if alarms.found else "no duel of equals has shown that the halves of this machine are alike"
        raise InputError(Problem("--duet", seen, "hold one first, with --aa --duet, or take turns without --duet"))


def _refuse_beside(resume: Path, *others: object, is_said: bool) -> None:
    if is_said or any(other is not None for other in others):
        what = "the duel knows its scenario, releases and looks"
        raise InputError(Problem(f"--resume {resume}", what, "leave the others out"))


def _assignments(duel: Duel, resume: Path | None, allowed: list[str]) -> dict[Side, Assignment]:
    """What a run of each side is; InputError with what is wrong, UnsafeTargetError for a host that is not allowed."""
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
        remedy = "add what matters, like {endpoint: balance, expect: p(95) < 200 ms}: it is what the duel is about"
        raise InputError(Problem(scenario.name, "no threshold on time, so nothing to compare", remedy))
    return assignments


def _assignment(
    duel: Duel, target: TargetFile, crew: CrewOptions, resume: Path | None, allowed: list[str]
) -> Assignment:
    text = _scenario_of(resume) if resume else None
    options = RunOptions(crew, target, duel.settings, duel.seed, allow_host=allowed)
    assignment = prepare(Path(duel.scenario_file), options, text=text)
    # A threshold that ends a run early would leave it without values.
    kept = [threshold.model_copy(update={"abort": False}) for threshold in assignment.scenario.thresholds]
    audits = [other for other in assignment.scenario.all_thresholds if other not in assignment.scenario.thresholds]
    scenario = assignment.scenario.model_copy(update={"all_thresholds": [*kept, *audits]})
    # Its file may change while the duel goes on.
    text = text or Path(duel.scenario_file).read_text(encoding="utf-8")
    return replace(assignment, scenario=scenario, scenario_text=text)


def _scenario_of(path: Path) -> str:
    """The scenario that a duel began with, whatever its file says now."""
    try:
        return (path / SCENARIO).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        remedy = "restore it: the duel goes on with the scenario that it began with"
        raise RunDirectoryError(Problem(str(path / SCENARIO), f"can't be read: {error}", remedy)) from None


def _begun(out: Path, duel: Duel) -> Path:
    """The directory of a new duel, which could be resumed from now on."""
    path = create_run_directory(out, f"duel-{duel.scenario}")
    write_whole(path / SCENARIO, Path(duel.scenario_file).read_text(encoding="utf-8"))
    for side in SIDES:
        (path / side).mkdir()
    write_duel(path, duel)
    return path
