"""Plays what a form of the matrix needs, and keeps each cell as soon as it is known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from bench.properties.cells import Cell, cell_of
from bench.properties.columns import Column
from bench.properties.rows import ROWS, SCENARIOS, Played, Row

TRIES: Final = 2
"""Of a run whose cells aren't as they should be while the machine was too busy for it to count."""

Play = Callable[[Played, Column], "dict[str, Any] | None"]


@dataclass(frozen=True)
class Tried:
    """A cell, and whether it is as was written down beforehand."""

    column: Column
    row: Row
    cell: Cell

    @property
    def is_right(self) -> bool:
        return self.cell.word in self.column.right(self.row.number)

    def as_json(self) -> dict[str, Any]:
        return {"column": self.column.name, "row": self.row.number, **asdict(self.cell), "right": self.is_right}


def rows_of(column: Column, *, is_quick: bool) -> Sequence[Row]:
    """The quick form tries a mutant on the promise that it breaks; whether it breaks others takes hours."""
    return [row for row in ROWS if row.number == column.row or not column.row or not is_quick]


def tried(column: Column, rows: Iterable[Row], play: Play) -> Iterator[Tried]:
    """Each scenario is run once for all rows that it decides, and again if it was disturbed and a word is wrong."""
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
