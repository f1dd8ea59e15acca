"""`loadproof gate`: runs several scenarios one after the other and exits with one code."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.text import Text

from loadproof.cli import judging
from loadproof.cli.console.options import (
    DEFAULT_LOCUSTFILES,
    DEFAULT_OUT,
    AnnotateOption,
    CommandsOption,
    FilesArgument,
    HostsOption,
    InconclusiveOption,
    LocustfilesOption,
    NotifyOption,
    OutOption,
    ReleaseOption,
    SeedOption,
    SettingsOption,
    TargetOption,
    WorkersOption,
    checked_locustfiles,
    checked_release,
    console,
    load_option,
    output_option,
    overrides,
)
from loadproof.cli.console.policy import Policy
from loadproof.cli.gatebaseline import baseline_runs, beside_baseline, check_comparable, open_judgements, uncompared
from loadproof.cli.preparation.preparing import RunOptions, allowed_target, prepare_all
from loadproof.cli.preparation.running import run_into, tell_ignored_settings
from loadproof.errors import ExitCode, LoadproofError, OutputError
from loadproof.run.machine.extras import JUDGE, require
from loadproof.run.processes.locust import CrewOptions
from loadproof.run.processes.stopping import StopSignal
from loadproof.rundir.files import REPORT, SUMMARY, create_run_directory

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from loadproof.analysis.outputs.ci.judged import Judged
    from loadproof.run.assignment import Assignment

RUNS_BESIDE_BASELINE: Final = 5
RunsOption = Annotated[
    int | None,
    load_option(
        metavar="N",
        help="How many times to run each scenario, in turn (default: 1, or 5 with --baseline).",
        min=1,
        max=100,
    ),
]
GateBaselineOption = Annotated[
    list[Path] | None,
    output_option(
        metavar="DIR",
        help="Compare with the runs of the same scenarios in this directory, like an earlier gate's; repeatable.",
    ),
]


def gate(
    files: FilesArgument,
    locustfiles: LocustfilesOption = DEFAULT_LOCUSTFILES,
    settings: SettingsOption = None,
    seed: SeedOption = 1,
    target: TargetOption = None,
    release: ReleaseOption = "",
    allow_host: HostsOption = None,
    allow_commands: CommandsOption = False,
    workers: WorkersOption = 1,
    runs: RunsOption = None,
    baseline: GateBaselineOption = None,
    out: OutOption = DEFAULT_OUT,
    inconclusive: InconclusiveOption = "fail",
    annotate: AnnotateOption = None,
    notify: NotifyOption = None,
) -> None:
    """Run several scenarios and exit with the worst verdict."""
    require(JUDGE)
    stop_signal = StopSignal()
    policy = Policy.of(inconclusive, annotate, notify)
    tell_ignored_settings()
    with stop_signal.installed():
        target_file = allowed_target(target, allow_host)
        options = RunOptions(
            CrewOptions(checked_locustfiles(locustfiles), workers),
            target_file,
            settings=overrides(settings),
            seed=seed,
            release=checked_release(release),
            allow_host=allow_host or (),
            may_command=allow_commands,
        )
        assignments = prepare_all(files, options)
        before = baseline_runs(baseline or [], [assignment.scenario.name for assignment in assignments])
        check_comparable(assignments, before)
        assignments *= runs or (RUNS_BESIDE_BASELINE if before else 1)
        directory = create_run_directory(out, "gate")
        gated, unwritten = _run_all(assignments, directory, stop_signal, policy, before)
    if before:
        if stop_signal:
            gated += uncompared(before, stop_signal)
        else:
            gated = beside_baseline(gated, before, directory)
        unwritten = _write(directory, gated, lenient=policy.is_lenient)
    _show(gated, directory)
    raise typer.Exit(_told(gated, unwritten, directory, policy))


def _run_all(
    assignments: list[Assignment],
    directory: Path,
    stop_signal: StopSignal,
    policy: Policy,
    before: Mapping[str, Sequence[Path]],
) -> tuple[list[Judged], OutputError | None]:
    """The result of each, and the error if the gate's files could not be written."""
    gated: list[Judged] = []
    unwritten: OutputError | None = None
    for done, assignment in enumerate(assignments):
        gated.append(_gated(assignment, directory, stop_signal, is_compared=bool(before)))
        rest = [_unrun(left, stop_signal) for left in assignments[done + 1 :]]
        rest += uncompared(before, stop_signal)
        # Whatever ends the gate, its files list what was not run or compared: they aren't green.
        unwritten = _write(directory, [*gated, *rest], lenient=policy.is_lenient)
    return gated, unwritten


def _told(gated: list[Judged], unwritten: OutputError | None, directory: Path, policy: Policy) -> ExitCode:
    """Report the result to CI and notification channels; returns the exit code."""
    from loadproof.analysis.outputs.ci.judged import worst_exit_code, worst_of

    outcomes = gated if unwritten is None else [*gated, _unwritten(unwritten)]
    policy.tell_all(outcomes, summary=directory / SUMMARY, report=directory / SUMMARY, is_gate=True)
    code = worst_exit_code(gated, lenient=policy.is_lenient)
    if unwritten is None:
        return code
    console.print(Text(f"INVALID  {unwritten}"), soft_wrap=True)
    return worst_of([code, ExitCode.INVALID])


def _show(gated: list[Judged], directory: Path) -> None:
    from loadproof.analysis.outputs.gate import gate_table

    console.print(gate_table(gated))
    for judged in gated:
        if judged.run is not None and (judged.run.path / REPORT).exists():
            judging.show_path(console, f"{judged.scenario} {judged.word}", judged.run.path / REPORT)
    judging.show_path(console, "summary", directory / SUMMARY)


def _write(directory: Path, gated: list[Judged], *, lenient: bool) -> OutputError | None:
    """Write the gate's files so far; returns the error if that fails, so that the remaining scenarios still run."""
    from loadproof.analysis.outputs.gatefile import write_gate

    try:
        write_gate(directory, gated, lenient=lenient)
    except OutputError as error:
        return error
    return None


def _unwritten(error: OutputError) -> Judged:
    """The error about the gate's own files as a result, for those who are only notified."""
    from loadproof.analysis.outputs.ci.judged import Judged

    return Judged("the gate's files", trouble=str(error), ended_as=ExitCode.INVALID)


def _unrun(assignment: Assignment, stop_signal: StopSignal) -> Judged:
    """A scenario that the gate has not reached, and won't reach after a stop signal."""
    from loadproof.analysis.outputs.ci.judged import Judged

    code = stop_signal.exit_code if stop_signal else ExitCode.NOTHING_MEASURED
    trouble = f"not run: the gate was {stop_signal.ending}" if stop_signal else "not run yet"
    return Judged(assignment.scenario.name, trouble=trouble, ended_as=code)


def _gated(assignment: Assignment, out: Path, stop_signal: StopSignal, *, is_compared: bool) -> Judged:
    """Run and judge one scenario of a gate; if it can't be measured, the others still are."""
    from loadproof.analysis.outputs.ci.judged import Judged

    if stop_signal:
        return _unrun(assignment, stop_signal)
    name = assignment.scenario.name
    try:
        run_directory, ended = run_into(out, assignment, stop_signal)
        later = open_judgements(assignment.scenario) if is_compared else ()
        run, verdict = judging.judge_and_show(run_directory, None, console, ended=ended, beside_runs=later)
    except LoadproofError as error:
        unmeasured = Judged.of_error(name, error)
        console.print(Text(unmeasured.trouble), soft_wrap=True)
        return unmeasured
    return Judged(name, run, verdict)
