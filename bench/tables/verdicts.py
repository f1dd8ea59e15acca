"""The tables about how often verdicts and intervals are right: those of docs/validity.md and docs/statistics.md."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scipy import special

from bench.ranges import conditions
from bench.serving import has_results, read_results
from bench.tables.markdown import table
from loadproof.analysis.estimates.estimate import ratio_estimate


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


def capacity_simulated() -> str:
    found = read_results("capacity")["simulated"]
    rows = [
        (
            one["target"],
            f"{one['truth_rps']:.1f}",
            f"{one['found']} of {one['simulations']}",
            of_times(one["covered"], one["found"]),
            of_times(one["between_bounds"], one["simulations"]),
            f"{one['median_width']:.1%}",
            f"{one['median_trials']:.0f}",
        )
        for one in found["rows"]
    ]
    head = ("target", "capacity, rps", "found", "covered", "between the bounds", "median width", "median trials")
    return f"{conditions(found)}\n\n{table(head, rows)}"


def capacity_real() -> str:
    results = read_results("capacity")
    if "real" not in results:
        return "Of a real server of known capacity: not measured yet."
    found = results["real"]
    truth, searches = found["truth_rps"], found["searches"]
    covered = sum(one["low"] <= truth <= one["high"] for one in searches)
    values = ", ".join(f"{one['value']:.1f} ({one['low']:.1f} to {one['high']:.1f})" for one in searches)
    what = f"A real server with slots, whose trials half hold at {truth:.1f} rps by simulation"
    return f"{conditions(found)} {what}: covered in {of_times(covered, len(searches))} searches. Found: {values}."


def of_times(count: int, times: int) -> str:
    """With the exact interval of the share."""
    low, high = exact_interval(count, times)
    return f"{count} of {times} ({low:.0%} to {high:.0%})"


def exact_interval(count: int, times: int) -> tuple[float, float]:
    """Of a share, with 95 % confidence. Source: Clopper and Pearson (1934), doi:10.1093/biomet/26.4.404."""
    low = 0.0 if count == 0 else float(special.betaincinv(count, times - count + 1, 0.025))
    high = 1.0 if count == times else float(special.betaincinv(count + 1, times - count, 0.975))
    return low, high


def coverage() -> str:
    found = read_results("coverage")
    rows = [
        (one["seconds"], one["phi"], *(f"{one[name]:.1%}" for name in ("p95", "error_ratio", "rate")))
        for one in found["rows"]
    ]
    head = ("seconds", "correlation", "p95", "error ratio", "rate")
    return f"{conditions(found)} {found['simulations']:,} simulations each.\n\n{table(head, rows)}"


def history() -> str:
    found = read_results("history")
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
                text(one),
                one.get("phi", 0.5),
                f"{one['ratio']:.1%}",
                f"{one['n']:,}",
                f"{one['low']:.1%} to {one['high']:.1%}",
            )
            for one in found[name]
        ]

    everything = [
        *rows("stable", lambda one: f"stable, {one['runs']} runs"),
        *rows("watched", lambda _: "stable, looked at after each run from the 20th to the 60th: any alarm"),
        *rows("found", lambda one: f"60 runs, +10 % in the last {one['after']}: found there"),
        *rows("families", lambda one: f"40 rows of 60 runs: {'+10 % in the last 3' if one['shift'] else 'stable'}"),
    ]
    return f"{conditions(found)}\n\n{table(head, everything)}"


def verdict() -> str:
    if not has_results("verdict"):
        return "Not measured yet."
    found = read_results("verdict")
    tools = list(dict.fromkeys(one["tool"] for one in found["rows"]))
    cases = {one["case"]: one["expected"] for one in found["rows"]}
    cells = {(one["tool"], one["case"]): one for one in found["rows"]}

    def cell(tool: str, case: str) -> str:
        one = cells.get((tool, case))
        if one is None:
            return "not measured"
        words = ", ".join(f"{word} {count}" for word, count in sorted(one["words"].items()))
        estimate = ratio_estimate(one["right"], one["n"])
        assert estimate is not None
        return f"{one['right']} of {one['n']} ({estimate.low:.0%} to {estimate.high:.0%}); {words}"

    rows: list[tuple[object, ...]] = [
        (case, expected, *(cell(tool, case) for tool in tools)) for case, expected in cases.items()
    ]
    return f"{conditions(found)}\n\n{table(('case', 'right word', *tools), rows)}"
