"""The commands of `loadproof`."""

from __future__ import annotations

import typer

from loadproof.cli import check, gate, report, run, schema, ui, worker

commands = typer.Typer(
    help="Load tests on Locust whose answers can be trusted.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for _command in (check.check, run.run, gate.gate, report.report, worker.worker, ui.ui, schema.schema):
    commands.command()(_command)
