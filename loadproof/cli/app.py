"""The program `loadproof`: its commands, and how it ends."""

from __future__ import annotations

import sys
import traceback

import typer

from loadproof.cli import check, gate, report, run, schema, ui, worker
from loadproof.cli.terminal import take_outputs
from loadproof.errors import ExitCode, LoadproofError

app = typer.Typer(
    help="Load tests on Locust whose answers can be trusted.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for _command in (check.check, run.run, gate.gate, report.report, worker.worker, ui.ui, schema.schema):
    app.command()(_command)


def main() -> None:
    """Run the program; each expected error is told in one line, and a bug with its traceback."""
    take_outputs()
    try:
        app()
    except LoadproofError as error:
        for problem in error.problems:
            sys.stderr.write(f"{problem}\n")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)
    except Exception:  # noqa: BLE001 - whatever it is, it is ours
        traceback.print_exc()
        sys.exit(ExitCode.BUG)
