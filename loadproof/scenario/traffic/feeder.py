"""Files of test data for users: a scenario's `feeders:`, and the rows that the files hold."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, StringConstraints

from loadproof.errors import InputError, Problem, excerpt
from loadproof.scenario.strict import Strict

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Row = Mapping[str, Any]
"""Columns to their values: text from a CSV file, any JSON value from JSON lines."""


class Feeder(Strict):
    """A file with rows of data for users: CSV with a header, or JSON lines, in the locustfiles' directory."""

    file: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}\.(csv|jsonl)$")] = Field(
        description="File name in the directory of the locustfiles: NAME.csv with a header, or NAME.jsonl."
    )
    order: Literal["sequential", "shuffled", "random", "unique"] = Field(
        "sequential",
        description="Row order: as in the file, shuffled by the seed, a random row each time, or one row per client.",
    )
    at_end: Literal["again", "stop"] = Field(
        "again", description="After the last row: start over, or stop any user that asks for another row."
    )

    @property
    def runs_out(self) -> bool:
        """Whether each row is used only once, so that the file runs out."""
        return self.at_end == "stop" and self.order in {"sequential", "shuffled"}


def read_rows(path: Path) -> tuple[Row, ...]:
    """All rows of the file; InputError with the line of an invalid row, or if there are no rows."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = tuple(_rows_of_csv(file, path) if path.suffix == ".csv" else _rows_of_lines(file, path))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(Problem(str(path), f"can't be read: {error}", "give a UTF-8 file")) from None
    if not rows:
        raise InputError(Problem(str(path), "has no rows", "add some"))
    return rows


def _rows_of_csv(file: Any, path: Path) -> Iterator[Row]:
    reader = csv.DictReader(file, strict=True)
    columns = reader.fieldnames or []
    if len(set(columns)) < len(columns) or "" in columns:
        raise InputError(Problem(str(path), "columns without a name of their own", "name each", got=", ".join(columns)))
    for row in reader:
        if None in row or None in row.values():
            where = f"{path}:{reader.line_num}"
            raise InputError(Problem(where, f"not {len(columns)} fields, as the header has", "quote what has a comma"))
        yield row


def _rows_of_lines(file: Any, path: Path) -> Iterator[Row]:
    for number, line in enumerate(file, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if not isinstance(row, dict):
            got = excerpt(line.strip())
            raise InputError(Problem(f"{path}:{number}", "not a JSON object", "write one on each line", got=got))
        yield row
