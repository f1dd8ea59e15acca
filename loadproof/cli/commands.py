"""The commands of `loadproof`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from loadproof import __version__
from loadproof.cli import check, gate, history, journal, report, run, schema, ui, worker

commands = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
_OF_RUNS = (report.report, journal.journal, history.history)
for _command in (check.check, run.run, gate.gate, *_OF_RUNS, worker.worker, ui.ui, schema.schema):
    commands.command()(_command)


def _show_version(is_wanted: bool) -> None:
    if is_wanted:
        sys.stdout.write(f"loadproof {__version__}\n")
        raise typer.Exit


@commands.callback(help="Load tests on Locust whose answers can be trusted.")
def _program(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """What all commands share."""
