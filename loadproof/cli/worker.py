"""`loadproof worker`: this machine makes load for runs on another one."""

from __future__ import annotations

from typing import Annotated

import typer

from loadproof.cli.options import DEFAULT_LOCUSTFILES, LocustfilesOption, address, checked_locustfiles
from loadproof.errors import ExitCode
from loadproof.run.locust import work_for
from loadproof.run.secret import shared_secret
from loadproof.run.stopping import StopSignal


def worker(
    master: Annotated[str, typer.Argument(metavar="HOST[:PORT]", help="Where `loadproof run --listen` waits.")],
    locustfiles: LocustfilesOption = DEFAULT_LOCUSTFILES,
    once: Annotated[bool, typer.Option("--once", help="End after one run.")] = False,
) -> None:
    """Make load for runs on another machine, one after the other, until stopped."""
    host, port = address(master, "master")
    secret = shared_secret("worker")
    stop_signal = StopSignal()
    with stop_signal.installed():
        code = work_for(
            host,
            port,
            secret=secret,
            locustfiles=checked_locustfiles(locustfiles),
            stop_signal=stop_signal,
            once=once,
        )
    raise typer.Exit(ExitCode.NOTHING_MEASURED if code else ExitCode.PASS)
