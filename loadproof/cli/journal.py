"""`loadproof journal`: prints a run's recorded requests as CSV, however the run ended."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from loadproof.cli.console.terminal import note
from loadproof.errors import ExitCode, Problem, RunDirectoryError
from loadproof.rundir import files
from loadproof.rundir.journal import HEADER, read_journal


def journal(run: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")]) -> None:
    """Print a run's requests as CSV, even if the run was killed."""
    path = run / files.JOURNAL
    lines = read_journal(path)
    try:
        header = HEADER
        for block in lines:
            # A file that was only just started has no header.
            sys.stdout.write(header + block.decode("utf-8", "replace").removeprefix(HEADER))
            header = ""
            if _is_lost():
                return
        sys.stdout.flush()
    except OSError as error:
        remedy = "give the directory of a run whose scenario has `record: requests`"
        raise RunDirectoryError(Problem(str(path), f"can't be read: {error.strerror or error}", remedy)) from None
    if not _is_lost() and lines.is_torn:
        note(f"{path} is damaged: these are all complete rows")


def _is_lost() -> bool:
    """Whether the reader has gone away; exits if the output can't be written, which has been reported already."""
    loss = getattr(sys.stdout, "loss", None)
    if loss is not None and not isinstance(loss, BrokenPipeError):
        raise typer.Exit(ExitCode.NOTHING_MEASURED)
    return loss is not None
