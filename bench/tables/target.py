"""The tables of docs/target-performance.md: what the reference API can take."""

from __future__ import annotations

from bench.ranges import conditions
from bench.serving import read_results
from bench.tables.markdown import table


def target_rounds() -> str:
    found = read_results("target-capacity")
    rows = [
        (
            number,
            one["verdict"],
            f"{one['goodput_rps']:.0f}",
            f"{one['p99_ms']:.1f} ms",
            f"{one['target_cpu_ratio']:.0%}",
        )
        for number, one in enumerate(found["rounds"], start=1)
    ]
    head = ("round", "verdict", "goodput, requests/s", "p99 response time", "target's CPU, of one core")
    return f"{conditions(found)}\n\n{table(head, rows)}"


def target_frames() -> str:
    rows = [(f"`{one['frame']}`", f"{one['share']:.1%}") for one in read_results("target-capacity")["widest_frames"]]
    return table(("frame", "share"), rows)


def protection() -> str:
    found = read_results("protection")
    base = found["median_us"]["no protection"]
    rows = [
        (title, f"{cost:,.0f} µs", f"{cost - base:+,.0f} µs" if cost != base else "")
        for title, cost in found["median_us"].items()
    ]
    told = f"{conditions(found)} Medians of {len(found['rounds_us']['no protection'])} rounds."
    return f"{told}\n\n{table(('one GET of a balance', 'CPU time', 'compared with no protection'), rows)}"
