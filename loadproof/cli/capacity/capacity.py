"""`loadproof capacity`: searches for the load that a target sustains, with an interval."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from loadproof.cli import judging
from loadproof.cli.capacity.settings import SearchOptions, checked_search
from loadproof.cli.capacity.trialruns import TargetGoneError, TrialRuns
from loadproof.cli.console.options import (
    DEFAULT_LOCUSTFILES,
    DEFAULT_OUT,
    AnnotateOption,
    HostsOption,
    InconclusiveOption,
    LocustfilesOption,
    NotifyOption,
    OutOption,
    SeedOption,
    SettingsOption,
    TargetOption,
    WorkersOption,
    checked_locustfiles,
    console,
    load_option,
    output_option,
    overrides,
)
from loadproof.cli.console.policy import Policy
from loadproof.cli.console.terminal import note
from loadproof.cli.preparation.preparing import RunOptions, allowed_target, prepare
from loadproof.cli.preparation.running import tell_faults, tell_ignored_settings
from loadproof.run.experiments.capacity import Known, SearchStoppedError, TrialPlan, UnsendableError
from loadproof.run.machine.extras import JUDGE, require
from loadproof.run.processes.locust import CrewOptions
from loadproof.run.processes.stopping import StopSignal
from loadproof.rundir.files import REPORT, SUMMARY, create_run_directory
from loadproof.rundir.trials import read_search, read_trials, write_search
from loadproof.units import Dimension, parse_quantity, three_digits

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from loadproof.analysis.capacity.capacity import Capacity
    from loadproof.errors import ExitCode
    from loadproof.rundir.trials import Search, Trial

FileArgument = Annotated[
    Path, typer.Argument(metavar="SCENARIO", help="Scenario file of the open model, or a built-in scenario's name.")
]


def _rate(text: str) -> float:
    """Requests per second, from a bare number or from a rate as scenarios write it."""
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return parse_quantity(text, Dimension.RATE)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a rate: write it like 500, or '500 rps'") from None


FromOption = Annotated[
    float | None,
    load_option(
        "--from", parser=_rate, metavar="RPS", help="Lowest load to try (default: half the scenario's lowest rate)."
    ),
]
ToOption = Annotated[
    float | None,
    load_option(
        "--to", parser=_rate, metavar="RPS", help="Highest load to try (default: 4 times the scenario's highest rate)."
    ),
]
GoalOption = Annotated[
    list[str] | None,
    load_option(
        "--goal", metavar="EXPECT", help="Search with this goal instead of the scenario's thresholds; repeatable."
    ),
]
TrialOption = Annotated[
    float | None, load_option("--trial", metavar="SECONDS", help="Length of a trial (default: 10, with --quick 3).")
]
QuickOption = Annotated[bool, load_option("--quick", help="A rough answer in about 90 s: bounds, without an interval.")]
ResumeOption = Annotated[
    Path | None, output_option(metavar="DIR", help="Continue an interrupted search, in its directory.")
]


def capacity(
    file: FileArgument,
    lowest: FromOption = None,
    highest: ToOption = None,
    goals: GoalOption = None,
    trial: TrialOption = None,
    quick: QuickOption = False,
    locustfiles: LocustfilesOption = DEFAULT_LOCUSTFILES,
    settings: SettingsOption = None,
    seed: SeedOption = 1,
    target: TargetOption = None,
    allow_host: HostsOption = None,
    workers: WorkersOption = 1,
    out: OutOption = DEFAULT_OUT,
    resume: ResumeOption = None,
    inconclusive: InconclusiveOption = "fail",
    annotate: AnnotateOption = None,
    notify: NotifyOption = None,
) -> None:
    """Find the highest load at which a scenario's thresholds are met."""
    require(JUDGE)
    policy = Policy.of(inconclusive, annotate, notify)
    stop_signal = StopSignal()
    tell_ignored_settings()
    with stop_signal.installed():
        target_file = allowed_target(target, allow_host)
        crew = CrewOptions(checked_locustfiles(locustfiles), workers)
        options = RunOptions(crew, target_file, overrides(settings), seed, allow_host=allow_host or (), is_judged=False)
        assignment = prepare(file, options)
        asked = SearchOptions(lowest, highest, trial, quick, goals or [])
        search, wanted = checked_search(assignment, asked, resume)
        tell_faults(target_file)
        directory = resume or create_run_directory(out, f"capacity-{assignment.scenario.name}")
        runs = TrialRuns(assignment, wanted, search, directory, stop_signal)
        with policy.telling_trouble(search.scenario):
            result = _searched(runs, search, directory)
    ended_as = _ended_as(result, stop_signal)
    with policy.telling_trouble(search.scenario):
        code = _show(result, read_search(directory), read_trials(directory), directory, policy, ended_as)
    raise typer.Exit(code)


def _ended_as(result: Capacity, stop_signal: StopSignal) -> ExitCode | None:
    """The signal's exit code if it ended the search; None if the result was complete when it came."""
    from loadproof.analysis.capacity.capacity import Found

    return stop_signal.exit_code if stop_signal and result.found is Found.UNFINISHED else None


def _searched(runs: TrialRuns, search: Search, directory: Path) -> Capacity:
    """The result of all trials made; they count however the search ends."""
    from loadproof.analysis.capacity.capacity import Found, capacity_of

    early, begun_s = None, time.monotonic()
    try:
        search = _with_ceiling(runs, search, directory)
        before = read_trials(directory)
        spent_s = time.monotonic() - begun_s
        TrialPlan(search, runs.measure, known_by(search), before=before, spent_s=spent_s).make()
    except SearchStoppedError as error:
        early = Found.UNFINISHED, str(error)
    except UnsendableError as error:
        early = Found.INVALID, str(error)
    except TargetGoneError as error:
        early = Found.DIED, str(error)
    return capacity_of(search, read_trials(directory), early)


def known_by(search: Search) -> Callable[[Sequence[Trial]], Known | None]:
    """A function from the trials so far to the capacity they show; the search places its next trials by it."""
    from loadproof.analysis.capacity.capacity import half_of

    def known(trials: Sequence[Trial]) -> Known | None:
        half = half_of(search, trials)
        return (
            None if half is None else Known(half.value, (half.high - half.low) / half.value if half.low else math.inf)
        )

    return known


def _with_ceiling(runs: TrialRuns, search: Search, directory: Path) -> Search:
    """The search with the generator's ceiling; UnsendableError if the ceiling isn't above the lower end."""
    if search.ceiling_rps is None:
        write_search(directory, search)
        ceiling_rps, why = runs.ceiling()
        if why:
            # Anything else running on this machine can only have lowered it.
            ceiling_rps, why = max((ceiling_rps, why), runs.ceiling())
        search = search.model_copy(update={"ceiling_rps": ceiling_rps, "ceiling_note": why})
        write_search(directory, search)
    if search.top_rps <= search.from_rps:
        raise UnsendableError(search.from_rps, search.ceiling_note)
    if search.ceiling_note:
        note(
            f"this machine's generator keeps up with at most {three_digits(search.top_rps)} rps, so the search stops "
            f"there ({search.ceiling_note})"
        )
    return search


def _show(
    result: Capacity,
    search: Search,
    trials: Sequence[Trial],
    directory: Path,
    policy: Policy,
    ended_as: ExitCode | None,
) -> ExitCode:
    from loadproof.analysis.outputs.capacityfile import capacity_terminal
    from loadproof.analysis.outputs.capacityresults import concluded_capacity
    from loadproof.analysis.outputs.ci.judged import Judged
    from loadproof.analysis.report.capacity_page import write_capacity

    write_capacity(directory, search, trials, result)
    console.print(capacity_terminal(search, result))
    judging.show_path(console, "report", directory / REPORT)
    judged = Judged(search.scenario, result=concluded_capacity(search, result), ended_as=ended_as)
    policy.tell_all([judged], summary=directory / SUMMARY, report=directory / REPORT)
    return judged.exit_code(lenient=policy.is_lenient)
