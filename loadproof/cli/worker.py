"""`loadproof worker`: generates load on this machine for runs started on another one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from loadproof import variables
from loadproof.cli.console.options import (
    DEFAULT_LOCUSTFILES,
    HostsOption,
    LocustfilesOption,
    address,
    checked_locustfiles,
    load_option,
    target_option,
)
from loadproof.cli.preparation.running import tell_ignored_settings
from loadproof.errors import ExitCode
from loadproof.run.preflight.plainproblems import inspect_locustfile
from loadproof.run.processes.locust import WorkerOptions, work_for
from loadproof.run.processes.secret import shared_secret
from loadproof.run.processes.stopping import StopSignal
from loadproof.scenario.safety import permit


def worker(
    master: Annotated[str, typer.Argument(metavar="HOST[:PORT]", help="Address where `loadproof run --listen` waits.")],
    locustfiles: LocustfilesOption = DEFAULT_LOCUSTFILES,
    locustfile: Annotated[
        Path | None,
        load_option(
            metavar="FILE", help="This machine's copy of the locustfile that the master runs with --locustfile."
        ),
    ] = None,
    allow_host: HostsOption = None,
    allow_variable: Annotated[
        list[str] | None,
        target_option(
            metavar="NAME",
            help="Environment variable that a target file may use; its value is sent to the target; repeatable.",
        ),
    ] = None,
    allow_file: Annotated[
        list[str] | None,
        target_option(
            metavar="PATH",
            help="Client certificate or key that a target file may use; it identifies you to the target; repeatable.",
        ),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Exit after one run.")] = False,
) -> None:
    """Generate load for runs started on another machine. Serves one run after another until stopped."""
    host, port = address(master, "master")
    if locustfile is not None:
        inspect_locustfile(locustfile)
    allowed = permit(allow_host or [], allow_variable or [], allow_file or [], besides=True)
    environment = allowed | {variables.SECRET: shared_secret("worker")}
    stop_signal = StopSignal()
    tell_ignored_settings()
    with stop_signal.installed():
        options = WorkerOptions(host, port, locustfile or checked_locustfiles(locustfiles), environment)
        code = work_for(options, stop_signal, once=once)
    if stop_signal:
        sys.stderr.write(f"worker: stopped by {stop_signal.name}\n")
        raise typer.Exit(stop_signal.exit_code)
    raise typer.Exit(ExitCode.NOTHING_MEASURED if code else ExitCode.PASS)
