"""Tables of docs/duel.md: how often duels are right."""

from __future__ import annotations

from typing import Any

from scipy import stats

from bench.ranges import conditions
from bench.rounds import repeats_told
from bench.serving import has_results, read_results
from bench.tables.markdown import table

CASES = ("equal", "5 % slower", "10 % slower")
WORDS = ("regressed", "improved", "equivalent", "inconclusive")


def share(count: int, times: int) -> str:
    """A share with its exact 95 % interval: '1.2 % (0.9 to 1.6)'."""
    interval = stats.binomtest(count, times).proportion_ci(method="exact")
    return f"{100 * count / times:.1f} % ({100 * interval.low:.1f} to {100 * interval.high:.1f})"


def looks() -> str:
    results = read_results("looks")
    times = results["duels"]
    rows = [
        (
            f"{entry['slower']:.0%} slower" if entry["slower"] else "equal",
            f"{entry['noise']:.0%}",
            way,
            *(share(result["words"][word], times) for word in ("regressed", "equivalent", "inconclusive")),
            f"{result['runs']:.1f}",
        )
        for entry in results["rows"]
        for way, result in entry["ways"].items()
    ]
    head = ("candidate", "noise", "decided by", "regressed", "equivalent", "inconclusive", "runs of a side")
    what = f"{times:,} simulated duels each, {results['rows_of_family']} rows, with 95 % intervals."
    return f"{conditions(results)} {what}\n\n{table(head, rows)}"


def duels() -> str:
    if not has_results("duels"):
        return "Not measured yet."
    found = read_results("duels")
    rows: list[tuple[object, ...]] = []
    for case in CASES:
        results = [result for result in found["duels"] if result["case"] == case]
        repeated = sum(result["invalid"] for result in results)
        rows.append((case, len(results), *_counts(results), _mean(results), repeated))
    first = found["duels"][0]
    in_time = [result["in_time"] for result in found["duels"] if result["in_time"]]
    alarms = sum(word in {"regressed", "improved"} for word in in_time)
    beside = "\n\nOf the equal ones, the first runs compared with the next in time, as if there had been no blocks: "
    beside += f"{alarms} of {len(in_time)} found a change."
    head = ("candidate", "duels", *WORDS, "runs of a side", "INVALID runs")
    where = f"`{found['command']}`, {first['machine']}, from {first['date']} on. {repeats_told(found)}".strip()
    return f"{where}\n\n{table(head, rows)}{beside if in_time else ''}"


def _counts(results: list[dict[str, Any]]) -> tuple[str, ...]:
    words = [result["word"] for result in results]
    return tuple(share(words.count(word), len(words)) if words else "not measured" for word in WORDS)


def _mean(results: list[dict[str, Any]]) -> str:
    return f"{sum(result['pairs'] for result in results) / len(results):.1f}" if results else "–"
