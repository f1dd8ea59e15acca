"""The targets that the matrix tries: the clean reference API, and each of its mutants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from payments_api.mutants.catalogue import MUTANTS

CLEAN: Final = "clean"
_RARELY: Final = {"clients-forgotten": "15"}
"""The number for mutants whose default is too rare for our scenarios, which have fewer clients than that."""
_RARELY_QUICK: Final = _RARELY | {"commit-lost": "100"}


@dataclass(frozen=True)
class Column:
    """`breaks` the promise of row `row`, 0 if it is clean; `also` are other rows that it may break, with reasons."""

    name: str
    row: int = 0
    breaks: str = ""
    also: Mapping[int, str] = field(default_factory=dict)

    def right(self, row: int) -> Sequence[str]:
        """Words that a cell may have: the broken promise must FAIL, and all others must PASS.

        Promises that may break as a side effect may have any word.
        """
        if row == self.row:
            return ["FAIL"]
        return ["FAIL", "INCONCLUSIVE", "PASS"] if row in self.also else ["PASS"]

    def environment(self, *, is_quick: bool) -> dict[str, str]:
        """Environment variables that select the mutant; nothing tells the audit about it."""
        number = (_RARELY_QUICK if is_quick else _RARELY).get(self.name)
        return {"TARGET_MUTANT": f"{self.name}:{number}" if number else self.name} if self.row else {}


def columns() -> list[Column]:
    """The clean API first, then the mutants in the order of their rows."""
    found = [Column(mutant.name, mutant.row, mutant.breaks, mutant.also) for mutant in MUTANTS.values()]
    return [Column(CLEAN), *found]
