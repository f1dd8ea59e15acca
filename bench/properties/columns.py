"""The targets that the matrix tries: the clean reference API, and each of its mutants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from payments_api.mutants.catalogue import MUTANTS

CLEAN: Final = "clean"
_RARELY: Final = {"clients-forgotten": "15"}
"""What a mutant does now and then, as often as our scenarios can see it: they have fewer clients than it forgets."""
_RARELY_QUICK: Final = _RARELY | {"commit-lost": "100"}


@dataclass(frozen=True)
class Column:
    """`breaks` the promise of row `row`, 0 if it is clean; `also` are other rows that it may break, with reasons."""

    name: str
    row: int = 0
    breaks: str = ""
    also: Mapping[int, str] = field(default_factory=dict)

    def right(self, row: int) -> Sequence[str]:
        """Words that a cell may have: what is broken must be seen, and nothing else may be accused or left open.

        What breaks by the way may also be too little to decide.
        """
        if row == self.row:
            return ["FAIL"]
        return ["FAIL", "INCONCLUSIVE", "PASS"] if row in self.also else ["PASS"]

    def environment(self, *, is_quick: bool) -> dict[str, str]:
        """All that differs; the audit is not told."""
        number = (_RARELY_QUICK if is_quick else _RARELY).get(self.name)
        return {"TARGET_MUTANT": f"{self.name}:{number}" if number else self.name} if self.row else {}


def columns() -> list[Column]:
    """The clean one first, then mutants in the order of their rows."""
    found = [Column(mutant.name, mutant.row, mutant.breaks, mutant.also) for mutant in MUTANTS.values()]
    return [Column(CLEAN), *found]
