"""Reads the complete lines of a file into a frame, even if a crash or someone's editing damaged it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any, Final

import pandas as pd

from loadproof.units import counted

_TEXT: Final = frozenset(
    {"phase", "endpoint", "outcome", "series", "worker", "metric", "kind", "detail"}
    | {"client", "request", "retry_after", "noted"}
)


def left_out(lines: int) -> str:
    """The clause that reports this many unreadable lines."""
    return f"{counted(lines, 'unreadable line was', 'unreadable lines were')} left out"


def parsed(text: str, fields: tuple[str, ...], defaults: dict[str, Any]) -> tuple[pd.DataFrame, int]:
    """The lines that have these columns, with numbers where they belong; and how many lines did not."""
    columns = fields[: max(text.partition("\n")[0].count(",") + 1, len(fields) - len(defaults))]
    header = ",".join(columns) + "\n"
    body = text.removeprefix(header)
    if '"' in body:
        lines = pd.DataFrame(_quoted_rows(body, len(columns)), columns=list(columns), dtype=str)
    else:
        lines = pd.read_csv(
            io.StringIO(header + body), dtype=str, keep_default_na=False, on_bad_lines="skip", quoting=csv.QUOTE_NONE
        )
    for name in columns:
        if name not in _TEXT:
            lines[name] = pd.to_numeric(lines[name], errors="coerce")
    whole = lines.dropna().reset_index(drop=True).assign(**{name: defaults[name] for name in fields[len(columns) :]})
    return whole, body.count("\n") - len(whole)


def _quoted_rows(body: str, width: int) -> Iterator[list[str]]:
    """Parse line by line, so that an unbalanced quote costs only its own line; slower, for files that contain JSON."""
    for line in body.splitlines():
        row = next(csv.reader([line]), [])
        if len(row) == width:
            yield row
