"""Tables of docs/validity.md, docs/statistics.md and others: how often verdicts and intervals are right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scipy import special

from bench.ranges import conditions
from bench.serving import has_results, read_results
from bench.tables.markdown import table
from loadproof.analysis.estimates.estimate import ratio_estimate


def starvation() -> str:
    results = read_results("starvation")
    rows: list[tuple[object, ...]] = [
        (
            name,
            "INVALID" if experiment["is_generators"] else "anything but INVALID",
            f"{experiment['right']} of {experiment['times']}",
            ", ".join(f"{word} {count}" for word, count in sorted(experiment["verdicts"].items())),
        )
        for name, experiment in results["experiments"].items()
    ]
    return f"{conditions(results)}\n\n{table(('experiment', 'expected', 'right', 'verdicts'), rows)}"


def capacity_simulated() -> str:
    results = read_results("capacity")["simulated"]
    rows = [
        (
            row["target"],
            f"{row['truth_rps']:.1f}",
            f"{row['found']} of {row['simulations']}",
            of_times(row["covered"], row["found"]),
            of_times(row["between_bounds"], row["simulations"]),
            f"{row['median_width']:.1%}",
            f"{row['median_trials']:.0f}",
        )
        for row in results["rows"]
    ]
    head = ("target", "capacity, rps", "found", "covered", "between the bounds", "median width", "median trials")
    return f"{conditions(results)}\n\n{table(head, rows)}"


def capacity_real() -> str:
    results = read_results("capacity")
    if "real" not in results:
        return "Of a real server of known capacity: not measured yet."
    real = results["real"]
    truth, searches = real["truth_rps"], real["searches"]
    covered = sum(search["low"] <= truth <= search["high"] for search in searches)
    values = ", ".join(f"{search['value']:.1f} ({search['low']:.1f} to {search['high']:.1f})" for search in searches)
    lost = f" {len(real['failed'])} more found nothing." if real.get("failed") else ""
    what = f"A real server with slots, whose trials half hold at {truth:.1f} rps by simulation"
    covers = f"covered in {of_times(covered, len(searches))} searches. Found: {values or 'nothing'}.{lost}"
    return f"{conditions(real)} {what}: {covers}"


def of_times(count: int, times: int) -> str:
    """A count with the exact 95 % interval of its share."""
    low, high = exact_interval(count, times)
    return f"{count} of {times} ({low:.0%} to {high:.0%})"


def exact_interval(count: int, times: int) -> tuple[float, float]:
    """Exact 95 % interval of a share, 0–1. Source: Clopper and Pearson (1934), doi:10.1093/biomet/26.4.404."""
    low = 0.0 if count == 0 else float(special.betaincinv(count, times - count + 1, 0.025))
    high = 1.0 if count == times else float(special.betaincinv(count + 1, times - count, 0.975))
    return low, high


def coverage() -> str:
    results = read_results("coverage")
    rows = [
        (row["seconds"], row["phi"], *(f"{row[name]:.1%}" for name in ("p95", "error_ratio", "rate")))
        for row in results["rows"]
    ]
    head = ("seconds", "correlation", "p95", "error ratio", "rate")
    return f"{conditions(results)} {results['simulations']:,} simulations each.\n\n{table(head, rows)}"


def history() -> str:
    results = read_results("history")
    head = (
        "simulated histories, run-to-run sd 3 %",
        "neighbours' correlation",
        "reported a change",
        "n",
        "95 % interval",
    )

    def rows(name: str, text: Callable[[dict[str, Any]], str]) -> list[tuple[object, ...]]:
        return [
            (
                text(row),
                row.get("phi", 0.5),
                f"{row['ratio']:.1%}",
                f"{row['n']:,}",
                f"{row['low']:.1%} to {row['high']:.1%}",
            )
            for row in results[name]
        ]

    everything = [
        *rows("stable", lambda row: f"stable, {row['runs']} runs"),
        *rows("watched", lambda _: "stable, looked at after each run from the 20th to the 60th: any alarm"),
        *rows("found", lambda row: f"60 runs, +10 % in the last {row['after']}: found there"),
        *rows("families", lambda row: f"40 rows of 60 runs: {'+10 % in the last 3' if row['shift'] else 'stable'}"),
    ]
    return f"{conditions(results)}\n\n{table(head, everything)}"


def verdict() -> str:
    if not has_results("verdict"):
        return "Not measured yet."
    results = read_results("verdict")
    tools = list(dict.fromkeys(row["tool"] for row in results["rows"]))
    cases = {row["case"]: row["expected"] for row in results["rows"]}
    cells = {(row["tool"], row["case"]): row for row in results["rows"]}

    def cell(tool: str, case: str) -> str:
        row = cells.get((tool, case))
        if row is None:
            return "not measured"
        words = ", ".join(f"{word} {count}" for word, count in sorted(row["words"].items()))
        estimate = ratio_estimate(row["right"], row["n"])
        assert estimate is not None
        return f"{row['right']} of {row['n']} ({estimate.low:.0%} to {estimate.high:.0%}); {words}"

    rows: list[tuple[object, ...]] = [
        (case, expected, *(cell(tool, case) for tool in tools)) for case, expected in cases.items()
    ]
    return f"{conditions(results)}\n\n{table(('case', 'right word', *tools), rows)}"
