"""The commands of `loadproof`."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from loadproof import __version__
from loadproof.cli import check, compare, elle, gate, history, journal, report, run, schema, selftest, ui, worker
from loadproof.cli.capacity.capacity import capacity
from loadproof.cli.duel.duel import duel


class _Grouped(TyperCommand):
    """A command whose help groups options by `rich_help_panel` in plain text: Rich would also put errors in frames."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            if row := param.get_help_record(ctx):
                title = getattr(param, "rich_help_panel", None) or f"{param.param_type_name.capitalize()}s"
                # The help record of an argument adds Python's name of its type to the metavar.
                name = param.metavar if title == "Arguments" and param.metavar else row[0]
                sections.setdefault(title, []).append((name, row[1]))
        for title, rows in sections.items():
            with formatter.section(title):
                formatter.write_dl(rows)


class _TwoSided(_Grouped):
    """A command whose arguments are divided by `--`, wherever its options are."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, [compare.DIVIDER if word == "--" else word for word in args])


commands = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
_OF_RUNS = (report.report, history.history, journal.journal, elle.elle)
_WITH_RUNS = (check.check, run.run, gate.gate, compare.compare, duel, capacity)
for _command in (*_WITH_RUNS, *_OF_RUNS, selftest.selftest, worker.worker, ui.ui, schema.schema):
    commands.command(cls=_TwoSided if _command is compare.compare else _Grouped)(_command)


def _show_version(is_wanted: bool) -> None:
    if is_wanted:
        sys.stdout.write(f"loadproof {__version__}\n")
        raise typer.Exit


@commands.callback(help="Load tests with a verdict you can trust, built on Locust.")
def _program(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Options of the program itself."""
