"""Turns an assignment into a run directory, with progress on the terminal, or into a dry run."""

from __future__ import annotations

import functools
import threading
from typing import TYPE_CHECKING

from rich.text import Text

from loadproof.cli import judging
from loadproof.cli.console.memory import is_want_of_memory, out_of_memory
from loadproof.cli.console.options import console
from loadproof.cli.console.terminal import note
from loadproof.errors import ExitCode, Problem, TargetError, escaped
from loadproof.generator.inspection.dryrequest import SENT_NOTHING, UNRECORDED
from loadproof.outcome import Outcome
from loadproof.run import runner
from loadproof.run.dryrun import dry_run
from loadproof.run.machine.openfiles import closing_problem
from loadproof.run.processes.locustsettings import settings_found
from loadproof.run.target.embedded import deliberate_faults, deliberate_mutant
from loadproof.run.target.probe import probe_within
from loadproof.run.watching.progress import Progress
from loadproof.rundir.files import INTERVALS, create_run_directory
from loadproof.units import format_duration

if TYPE_CHECKING:
    from pathlib import Path

    from loadproof.run.assignment import Assignment
    from loadproof.run.processes.stopping import StopSignal
    from loadproof.rundir.manifest import Manifest
    from loadproof.scenario.scenario import Scenario
    from loadproof.scenario.target.targetfile import TargetFile


def run_into(
    out: Path, assignment: Assignment, stop_signal: StopSignal, *, target_wait_s: float = 0
) -> tuple[Path, Manifest]:
    """Run one scenario into a new run directory below `out`, as soon as your own target, if any, responds.

    Returns the directory, and the manifest that says how the run ended.
    """
    scenario = assignment.scenario
    if assignment.target is not None:
        keeps = _keeps_connections(assignment.target, scenario, stop_signal, target_wait_s)
        tell_closing(assignment.target, scenario, keeps=keeps)
    tell_faults(assignment.target)
    run_directory = create_run_directory(out, scenario.name)
    progress = Progress(
        console,
        duration_s=scenario.duration_s,
        thresholds_so_far=functools.partial(judging.judge_so_far, run_directory),
    )
    # The analysis is imported while the target starts; importing it later would disturb the measurement.
    threading.Thread(target=_load_judge, daemon=True).start()
    try:
        with progress:
            broken = judging.watch_for_abort(run_directory, scenario)
            ended = runner.run(assignment, run_directory, progress, stop_signal, broken=broken)
    except Exception as error:
        if not is_want_of_memory(error):
            raise
        has_measured = (run_directory / INTERVALS).exists()
        raise out_of_memory(error, run_directory, has_measured=has_measured) from None
    return run_directory, ended


def _keeps_connections(target: TargetFile, scenario: Scenario, stop_signal: StopSignal, wait_s: float) -> bool:
    """Whether the target keeps connections open, once it responds.

    TargetError if it doesn't respond; if a signal ended the wait, with that signal's exit code.
    """
    try:
        return probe_within(wait_s, target, scenario, stop_requested=stop_signal.__bool__)
    except TargetError as error:
        if wait_s and stop_signal:
            error.exit_code = stop_signal.exit_code
        raise


def _load_judge() -> None:
    import loadproof.analysis.judge.thresholds  # noqa: F401


def tell_faults(target: TargetFile | None) -> None:
    """Report that the reference API is set to fail or to break a promise, if it is.

    A forgotten variable must not pass for a bad release.
    """
    for variable, what, got in (
        ("FAULTS", "fails", deliberate_faults()),
        ("TARGET_MUTANT", "breaks a promise", deliberate_mutant()),
    ):
        if target is None and got:
            remedy = "unset it to measure the API as it is"
            note(Problem(variable, f"the reference API {what} on purpose", remedy, got=got))


def tell_ignored_settings() -> None:
    """List Locust settings found in the environment or in files, because they have no effect here."""
    ignored = list(settings_found())
    if ignored:
        why = "only the command line, the scenario and the locustfiles determine what is sent"
        note(f"{escaped(', '.join(ignored))} {'is' if len(ignored) == 1 else 'are'} ignored: {why}")


def tell_closing(target: TargetFile | None, scenario: Scenario, *, keeps: bool) -> None:
    """Report if the target closes each connection: the plan may need more ports than this machine has."""
    if target is not None and not keeps and scenario.locustfile is None:
        note(closing_problem(scenario, target.base_url))


def show_dry_run(assignment: Assignment) -> ExitCode:
    """Show each request of set-up and tasks with its response; FAIL if one is unexpected or a task sends nothing."""
    tell_faults(assignment.target)
    requests = dry_run(assignment)
    tell_closing(assignment.target, assignment.scenario, keeps=not any(sent.closes for sent in requests))
    for sent in requests:
        style = "green" if sent.outcome == Outcome.OK else "red"
        head = f"  {escaped(sent.request)}"
        if sent.outcome not in {SENT_NOTHING, UNRECORDED}:
            status = "no response" if sent.status is None else str(sent.status)
            head += f" → {status} in {format_duration(sent.response_s)}"
        console.print(Text.assemble((f"{sent.outcome:14}", style), f"{sent.endpoint:14}", head), soft_wrap=True)
        for text in filter(None, (sent.reason, sent.body)):
            console.print(Text(f"{'':14}{escaped(text)}"), soft_wrap=True)
    return ExitCode.PASS if all(sent.outcome == Outcome.OK for sent in requests) else ExitCode.FAIL
