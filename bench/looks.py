"""How often a duel is wrong, simulated: equal and slower releases, four looks, and three decision rules.

python -m bench.looks [DUELS]        writes bench/results/looks.json
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy import stats

from bench.serving import machine, write_results
from loadproof.analysis.compare.duel.sequential import FAMILY_ALPHA
from loadproof.analysis.compare.statistics.equivalence import equivalence_p
from loadproof.analysis.compare.statistics.looks import changed, equivalence_level
from loadproof.analysis.compare.statistics.welch import Change
from simulation.duels import Truth, changes_in, duels

RUNS = (4, 6, 8, 12)
MARGIN = 0.05
SLOWER = (0.0, 0.05, 0.10)
NOISES = (0.03, 0.05)
Duel = Sequence[Sequence[Change]]
"""At each look, the change of each row."""
Way = Callable[[Duel, int], set[int]]
"""A decision rule: the rows that have changed by a look."""


def naive(duel: Duel, look: int) -> set[int]:
    return {row for changes in duel[: look + 1] for row, change in enumerate(changes) if change.p <= 0.05}


def adjusted(duel: Duel, look: int) -> set[int]:
    """Adjusted for rows by Benjamini and Hochberg, but each look is judged as if it were the only one."""
    changed_rows = set()
    for changes in duel[: look + 1]:
        p_values = stats.false_discovery_control([change.p for change in changes])
        changed_rows |= {int(row) for row in np.flatnonzero(p_values <= 0.05)}
    return changed_rows


def spending(duel: Duel, look: int) -> set[int]:
    p_values = [{row: change.p for row, change in enumerate(changes)} for changes in duel[: look + 1]]
    return changed(p_values, RUNS, FAMILY_ALPHA)


WAYS: dict[str, Way] = {
    "p < 0.05 in any row at any look": naive,
    "the same, adjusted for rows only": adjusted,
    "a duel": spending,
}


def equal_rows(duel: Duel) -> list[set[int]]:
    """The rows that are equivalent, at each look."""
    levels = [equivalence_level(RUNS, look) for look in range(len(RUNS))]
    return [
        {row for row, change in enumerate(changes) if equivalence_p(change, MARGIN) <= level}
        for changes, level in zip(duel, levels, strict=True)
    ]


def verdict(duel: Duel, equals: Sequence[set[int]], way: Way) -> tuple[str, int]:
    """The decision, and the number of runs per side until then."""
    for look, (runs, equal) in enumerate(zip(RUNS, equals, strict=True)):
        moved = way(duel, look)
        if any(duel[look][row].ratio > 0 for row in moved - equal):
            return "regressed", runs
        if len(moved | equal) == len(duel[look]):
            return ("improved" if moved - equal else "equivalent"), runs
    return "inconclusive", RUNS[-1]


def experiment(random: np.random.Generator, truth: Truth, times: int) -> dict[str, dict[str, Any]]:
    """By decision rule: how often each word came out, and the mean number of runs per side."""
    values = duels(random, truth, times=times, pairs=RUNS[-1])
    played: list[Duel] = list(zip(*(changes_in(values[..., :runs]) for runs in RUNS), strict=True))
    equals = [equal_rows(duel) for duel in played]
    by_way: dict[str, dict[str, Any]] = {}
    for name, way in WAYS.items():
        verdicts = [verdict(duel, equal, way) for duel, equal in zip(played, equals, strict=True)]
        words = [word for word, _ in verdicts]
        counts = {word: words.count(word) for word in ("regressed", "improved", "equivalent", "inconclusive")}
        by_way[name] = {"words": counts, "runs": float(np.mean([runs for _, runs in verdicts]))}
    return by_way


def main(times: int) -> None:
    random = np.random.default_rng(2026)
    rows = []
    for noise in NOISES:
        for slower in SLOWER:
            truth = Truth(noise=noise, slower=slower)
            rows.append({"noise": noise, "slower": slower, "ways": experiment(random, truth, times)})
    facts = {"command": "make bench-looks", "duels": times, "rows_of_family": Truth().rows}
    write_results("looks", {**machine(), **facts, "rows": rows})


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 4000)
