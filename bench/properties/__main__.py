"""Tries each promise on the clean reference API and on each of its mutants, and prints each cell of the matrix.

    python -m bench.properties                  all promises of all targets; takes hours
    python -m bench.properties --quick          all promises of the clean one, and of each mutant the one it breaks
    python -m bench.properties clean quota-race only these targets, by name or number of a row

Writes bench/results/properties.json after each target. Exits with 1 if a cell is not as predicted.
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from bench.properties.columns import Column, columns
from bench.properties.matrix import Tried, rows_of, tried
from bench.properties.playing import play
from bench.serving import has_results, machine, read_results, write_results

RESULTS = "properties"


def main() -> int:
    options = arguments()
    known = columns()
    chosen = [column for column in known if not options.names or named(column) & set(options.names)]
    # A misspelt name would select nothing, and nothing would be wrong.
    if unknown := set(options.names).difference(*map(named, known)):
        raise SystemExit(f"bench: no target or row is called {', '.join(sorted(unknown))}")
    playing = functools.partial(play, is_quick=options.quick, keep=options.keep)

    def cells(column: Column) -> list[Tried]:
        return [tell(attempt) for attempt in tried(column, rows_of(column, is_quick=options.quick), playing)]

    wrong = 0
    with ThreadPoolExecutor(options.together) as together:
        for of_column in together.map(cells, chosen):
            wrong += sum(not attempt.is_right for attempt in of_column)
            if not options.dry:
                keep(known, of_column, is_quick=options.quick)
    sys.stdout.write(f"{wrong} cells not as written down beforehand\n")
    return 1 if wrong else 0


def named(column: Column) -> set[str]:
    """Names that select this column: its own and the number of the row that it breaks, if any."""
    return {column.name, str(column.row)} if column.row else {column.name}


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.properties")
    parser.add_argument("names", nargs="*", help="targets by name, or by the number of the row that they break")
    parser.add_argument("--quick", action="store_true", help="short runs, and of each mutant only its own row")
    parser.add_argument("--dry", action="store_true", help="leave the kept results as they are")
    parser.add_argument("--together", type=int, default=1, help="targets at a time: what the audits say needs no quiet")
    parser.add_argument("--keep", type=Path, default=None, help="a directory for the runs' files")
    return parser.parse_args(argv)


def tell(attempt: Tried) -> Tried:
    state = "right" if attempt.is_right else "WRONG"
    word, reason = attempt.cell.word, attempt.cell.reason
    sys.stdout.write(f"{state} {attempt.column.name}, row {attempt.row.number}: {word}, {reason}\n")
    sys.stdout.flush()
    return attempt


def keep(known: Sequence[Column], new: Sequence[Tried], *, is_quick: bool) -> None:
    """Replace these cells' previous results; targets that no longer exist are removed."""
    names = {column.name for column in known}
    before = read_results(RESULTS) if has_results(RESULTS) else None
    earlier = before["cells"] if before else []
    cells = {(cell["column"], cell["row"]): cell for cell in earlier if cell["column"] in names}
    stay = cells.keys() - {(cell.column.name, cell.row.number) for cell in new}
    cells |= {(cell.column.name, cell.row.number): cell.as_json() | {"quick": is_quick} for cell in new}
    write_results(
        RESULTS,
        {
            **machine(before if stay else None),
            "command": f"make properties{'-quick' if is_quick else ''}",
            "columns": [asdict(column) for column in known],
            "cells": list(cells.values()),
        },
    )


if __name__ == "__main__":
    sys.exit(main())
