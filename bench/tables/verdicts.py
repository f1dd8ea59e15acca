"""The tables about how often verdicts and intervals are right: those of docs/validity.md and docs/statistics.md."""

from __future__ import annotations

from bench.ranges import conditions
from bench.serving import read_results
from bench.tables.markdown import table


def starvation() -> str:
    found = read_results("starvation")
    rows: list[tuple[object, ...]] = [
        (
            name,
            "INVALID" if one["is_generators"] else "anything but INVALID",
            f"{one['right']} of {one['times']}",
            ", ".join(f"{word} {count}" for word, count in sorted(one["verdicts"].items())),
        )
        for name, one in found["experiments"].items()
    ]
    return f"{conditions(found)}\n\n{table(('experiment', 'expected', 'right', 'verdicts'), rows)}"


def coverage() -> str:
    found = read_results("coverage")
    rows = [
        (one["seconds"], one["phi"], *(f"{one[name]:.1%}" for name in ("p95", "error_ratio", "rate")))
        for one in found["rows"]
    ]
    head = ("seconds", "correlation", "p95", "error ratio", "rate")
    return f"{conditions(found)} {found['simulations']:,} simulations each.\n\n{table(head, rows)}"
