"""The targets that the matrix tries: the clean reference API, and each of its mutants."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from bench.serving import ROOT

CLEAN: Final = "clean"
_RARELY: Final = {"clients-forgotten": "20"}
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
        """Words that a cell may have: what is broken must be seen, and nothing else may be accused or left open."""
        if row == self.row:
            return ["FAIL"]
        return ["FAIL", "PASS"] if row in self.also else ["PASS"]

    def environment(self, *, is_quick: bool) -> dict[str, str]:
        """All that differs; the audit is not told."""
        number = (_RARELY_QUICK if is_quick else _RARELY).get(self.name)
        return {"TARGET_MUTANT": f"{self.name}:{number}" if number else self.name} if self.row else {}


def columns() -> list[Column]:
    """The clean one first; asked of the API, which nothing imports."""
    listed = subprocess.run(
        [sys.executable, "-m", "payments_api.mutants"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    found = [
        Column(one["name"], one["row"], one["breaks"], {int(row): reason for row, reason in one["also"].items()})
        for one in json.loads(listed.stdout)
    ]
    return [Column(CLEAN), *sorted(found, key=lambda column: column.row)]
