"""Table of payments_api/README.md: each promise, the faults that break it, and what else they may break."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from payments_api.mutants.catalogue import MUTANTS, PROMISES

if TYPE_CHECKING:
    from collections.abc import Mapping


def mutants() -> str:
    rows = [
        f"| {mutant.row} {PROMISES[mutant.row]} | `{mutant.name}` | {mutant.breaks} | {_also(mutant.also)} |"
        for mutant in MUTANTS.values()
    ]
    return "\n".join(["| promise | `TARGET_MUTANT` | fault | may break, too |", "|---|---|---|---|", *rows])


def _also(reasons: Mapping[int, str]) -> str:
    """Reasons with their rows; rows with the same reason are joined."""
    groups = [(why, [str(row) for row, _ in of]) for why, of in groupby(reasons.items(), key=lambda item: item[1])]
    return "; ".join(f"{', '.join(rows)}: {why}" for why, rows in groups)
