"""Plays the scenarios that a column of the matrix needs, and yields each cell as soon as it is known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from bench.properties.cells import Cell, cell_of
from bench.properties.columns import Column
from bench.properties.rows import ROWS, SCENARIOS, Played, Row

TRIES: Final = 2
"""Tries of a run that was INVALID on a busy machine while one of its cells was wrong."""

Play = Callable[[Played, Column], "dict[str, Any] | None"]


@dataclass(frozen=True)
class Tried:
    """A cell, and whether it is as predicted."""

    column: Column
    row: Row
    cell: Cell

    @property
    def is_right(self) -> bool:
        return self.cell.word in self.column.right(self.row.number)

    def as_json(self) -> dict[str, Any]:
        return {"column": self.column.name, "row": self.row.number, **asdict(self.cell), "right": self.is_right}


def rows_of(column: Column, *, is_quick: bool) -> Sequence[Row]:
    """The rows to try: in the quick form, a mutant only on the promise that it breaks, because all rows take hours."""
    return [row for row in ROWS if row.number == column.row or not column.row or not is_quick]


def tried(column: Column, rows: Iterable[Row], play: Play) -> Iterator[Tried]:
    """Run each scenario once for all rows that it decides, and again if it was disturbed and a cell is wrong."""
    rows = list(rows)
    names = {name for row in rows for name in row.decided_by}
    verdicts = {name: play(played, column) for name, played in SCENARIOS.items() if name in names}
    for row in rows:
        cell = Tried(column, row, cell_of(row, verdicts))
        for name in row.decided_by:
            if not cell.is_right and _is_disturbed(verdicts[name]):
                verdicts[name] = play(SCENARIOS[name], column)
                cell = Tried(column, row, cell_of(row, verdicts))
        yield cell


def _is_disturbed(verdict: Mapping[str, Any] | None) -> bool:
    return verdict is None or verdict["verdict"] == "INVALID"
