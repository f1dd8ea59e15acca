"""`loadproof check`: shows what scenarios would do, before anything is sent."""

from __future__ import annotations

import typer

from loadproof.cli.console.options import (
    DEFAULT_LOCUSTFILES,
    CommandsOption,
    DryRunOption,
    FilesArgument,
    HostsOption,
    LocustfilesOption,
    SeedOption,
    SettingsOption,
    TargetOption,
    checked_locustfiles,
    overrides,
)
from loadproof.cli.preparation.preparing import RunOptions, allowed_target, prepare_all
from loadproof.cli.preparation.running import show_dry_run, tell_ignored_settings
from loadproof.run.processes.locust import CrewOptions
from loadproof.scenario.target.targetfile import load_target


def check(
    files: FilesArgument,
    locustfiles: LocustfilesOption = DEFAULT_LOCUSTFILES,
    settings: SettingsOption = None,
    seed: SeedOption = 1,
    dry_run: DryRunOption = False,
    target: TargetOption = None,
    allow_host: HostsOption = None,
    allow_commands: CommandsOption = False,
) -> None:
    """Validate scenarios and preview their load. Also shows how many samples each threshold would get."""
    tell_ignored_settings()
    target_file = allowed_target(target, allow_host) if dry_run else load_target(target)
    crew = CrewOptions(checked_locustfiles(locustfiles))
    options = RunOptions(
        crew,
        target_file,
        settings=overrides(settings),
        seed=seed,
        allow_host=allow_host or (),
        is_to_run=dry_run,
        may_command=allow_commands,
    )
    assignments = prepare_all(files, options)
    if dry_run:
        raise typer.Exit(max(map(show_dry_run, assignments)))
