"""A run directory to what failed most, by endpoint and message, as Locust counted it."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, NamedTuple

from loadproof.rundir import files

if TYPE_CHECKING:
    from analysis.frames.run import Run


class Failure(NamedTuple):
    """Warm-up included."""

    times: int
    endpoint: str
    message: str


def failures(run: Run, most: int) -> list[Failure]:
    """The most frequent ones; none where the file can't be read."""
    try:
        text = files.read_lines_text(run.path / files.LOCUST_FAILURES)
    except OSError:
        return []
    found = [
        Failure(int(row["Occurrences"]), row["Name"], row["Error"])
        for row in csv.DictReader(io.StringIO(text))
        if (row.get("Occurrences") or "").isdecimal()
    ]
    return sorted(found, reverse=True)[:most]
