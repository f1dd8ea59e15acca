"""Tables of docs/target-performance.md: the performance of the reference API."""

from __future__ import annotations

from collections import Counter
from statistics import median
from typing import Any

from bench.ranges import conditions, range_of
from bench.serving import read_results
from bench.tables.markdown import table


def target_rounds() -> str:
    """A row per configuration: the median of its rounds, and the lowest and highest."""
    results = read_results("target-capacity")

    def cell(rounds: list[dict[str, Any]], key: str, form: str) -> str:
        values = [result[key] for result in rounds]
        return f"{form.format(median(values))} ({range_of(values, form)})"

    rows = [
        (
            title,
            ", ".join(f"{word} {count}" for word, count in Counter(result["verdict"] for result in rounds).items()),
            cell(rounds, "goodput_rps", "{:.0f}"),
            cell(rounds, "p99_ms", "{:.1f} ms"),
            cell(rounds, "target_cpu_ratio", "{:.0%}"),
        )
        for title, rounds in results["rounds"].items()
    ]
    head = ("protection", "verdicts", "goodput, requests/s", "p99 response time", "target's CPU, of one core")
    return f"{conditions(results)}\n\n{table(head, rows)}"


def target_frames() -> str:
    frames = read_results("target-capacity")["widest_frames"]
    rows = [(f"`{frame['frame']}`", f"{frame['share']:.1%}") for frame in frames]
    return table(("frame", "share"), rows)


def protection() -> str:
    """A row per configuration, compared within each round, because a busy machine slows down all rows."""
    results = read_results("protection")
    rounds = results["rounds_us"]
    base = rounds["no protection"]

    def cell(costs: list[float]) -> str:
        return f"{median(cost - without for cost, without in zip(costs, base, strict=True)):+,.0f} µs"

    rows = [
        (title, f"{median(costs):,.0f} µs", cell(costs) if costs != base else "") for title, costs in rounds.items()
    ]
    caption = f"{conditions(results)} Medians of {len(base)} rounds."
    return f"{caption}\n\n{table(('one GET of a balance', 'CPU time', 'compared with no protection'), rows)}"
