"""`loadproof run`: turns a scenario into a verdict and a report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from loadproof.cli import judging
from loadproof.cli.console.options import (
    DEFAULT_LOCUSTFILES,
    DEFAULT_OUT,
    AnnotateOption,
    BaselineOption,
    CommandsOption,
    DryRunOption,
    HostsOption,
    InconclusiveOption,
    LocustfilesOption,
    NotifyOption,
    OutOption,
    ReleaseOption,
    ScenarioArgument,
    SeedOption,
    SettingsOption,
    TargetOption,
    WorkersOption,
    address,
    checked_locustfiles,
    checked_release,
    console,
    distributed_option,
    output_option,
    overrides,
    target_option,
)
from loadproof.cli.console.policy import Policy
from loadproof.cli.preparation.plainoptions import (
    DeadlineOption,
    DurationOption,
    ExcludeTagsOption,
    ExpectOption,
    PlainLocustfileOption,
    PlainOptions,
    SpawnRateOption,
    TagsOption,
    UsersOption,
)
from loadproof.cli.preparation.preparing import RunOptions, allowed_target, prepare
from loadproof.cli.preparation.running import run_into, show_dry_run, tell_ignored_settings
from loadproof.run.machine.extras import JUDGE, require
from loadproof.run.machine.ports import LOOPBACK, check_free_ports
from loadproof.run.processes.locust import CrewOptions
from loadproof.run.processes.secret import shared_secret
from loadproof.run.processes.stopping import StopSignal
from loadproof.run.target.probe import probe

if TYPE_CHECKING:
    from pathlib import Path

    from loadproof.errors import ExitCode
    from loadproof.run.assignment import Assignment

TargetWaitOption = Annotated[
    int, target_option(metavar="SECONDS", help="How long to wait for the target to come up.", min=0)
]
ListenOption = Annotated[
    str | None, distributed_option(metavar="HOST:PORT", help="Wait for workers from other machines at this address.")
]
WaitOption = Annotated[int, distributed_option(metavar="SECONDS", help="How long to wait for workers.", min=1)]
UiPortOption = Annotated[
    int | None,
    output_option(metavar="PORT", help="Show the run in Locust's web UI, on this port of 127.0.0.1.", min=1, max=65535),
]


def run(
    file: ScenarioArgument = None,
    locustfile: PlainLocustfileOption = None,
    locustfiles: LocustfilesOption = DEFAULT_LOCUSTFILES,
    tags: TagsOption = None,
    exclude_tags: ExcludeTagsOption = None,
    settings: SettingsOption = None,
    seed: SeedOption = 1,
    dry_run: DryRunOption = False,
    users: UsersOption = None,
    duration: DurationOption = None,
    spawn_rate: SpawnRateOption = None,
    expect: ExpectOption = None,
    deadline: DeadlineOption = None,
    target: TargetOption = None,
    target_wait: TargetWaitOption = 0,
    release: ReleaseOption = "",
    allow_host: HostsOption = None,
    allow_commands: CommandsOption = False,
    workers: WorkersOption = 1,
    listen: ListenOption = None,
    wait: WaitOption = 60,
    baseline: BaselineOption = None,
    out: OutOption = DEFAULT_OUT,
    ui_port: UiPortOption = None,
    inconclusive: InconclusiveOption = "fail",
    annotate: AnnotateOption = None,
    notify: NotifyOption = None,
) -> None:
    """Run a scenario or a locustfile, judge it, and write the report. The exit code is the verdict's."""
    stop_signal = StopSignal()
    policy = Policy.of(inconclusive, annotate, notify)
    tell_ignored_settings()
    if baseline or not dry_run:
        require(JUDGE)
    with stop_signal.installed():
        crew = _crew(locustfiles, workers, listen, wait_s=wait, ui_port=ui_port)
        target_file = allowed_target(target, allow_host)
        plain = PlainOptions(locustfile, users, duration, spawn_rate, expect, deadline, tags, exclude_tags)
        source = plain.source(file, overrides(settings), target_file)
        options = RunOptions(
            crew,
            target_file,
            settings=source.settings,
            seed=seed,
            release=checked_release(release),
            allow_host=allow_host or (),
            may_command=allow_commands,
        )
        assignment = prepare(source.file, options, text=source.text)
        before = judging.load_baseline(baseline, assignment.scenario)
        if dry_run:
            raise typer.Exit(_look_once(assignment))
        with policy.telling_trouble(assignment.scenario.name):
            run_directory, ended = run_into(out, assignment, stop_signal, target_wait_s=target_wait)
            code = judging.judge_and_tell(run_directory, before, console, policy, ended=ended)
    raise typer.Exit(code)


def _crew(locustfiles: Path, workers: int, listen: str | None, *, wait_s: int, ui_port: int | None) -> CrewOptions:
    """The processes that generate the load; InputError if a port can't be used or the secret is missing."""
    listening = address(listen, "--listen") if listen else None
    secret = shared_secret("--listen") if listen else ""
    check_free_ports({"--listen": listening, "--ui-port": (LOOPBACK, ui_port) if ui_port else None})
    return CrewOptions(checked_locustfiles(locustfiles), workers, listening, wait_s, secret, ui_port)


def _look_once(assignment: Assignment) -> ExitCode:
    """Send one request of each kind, after checking that the target responds at all."""
    if assignment.target is not None:
        probe(assignment.target, assignment.scenario)
    return show_dry_run(assignment)
