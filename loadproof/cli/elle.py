"""`loadproof elle`: prints a run's payments as a history for third-party consistency checkers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from loadproof.run.machine.extras import JUDGE, require
from loadproof.rundir.manifest import read_manifest


def elle(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory with an audit of the ledger.")],
    model: Annotated[
        Literal["bank", "set-full"],
        typer.Option(
            help="bank: transfers and snapshots of all balances. set-full: payments, and which exist at the end."
        ),
    ] = "bank",
) -> None:
    """Print a run's payments for elle-cli, an independent checker."""
    require(JUDGE)
    from loadproof.analysis.audit.journalaudits import ledger_of
    from loadproof.analysis.audit.ledger.elle import write_history
    from loadproof.analysis.frames.journal import load_journal
    from loadproof.analysis.frames.run import load_run

    recorded = load_run(run, read_manifest(run))
    sys.stdout.write(write_history(ledger_of(recorded, load_journal(recorded)), model))
