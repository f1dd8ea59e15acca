"""What a reader may take from several runs of a benchmark: ranges, over how many runs, on which days."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from bench.rounds import repeats_told

NOT_RECORDED = "not recorded"
ENOUGH_DAYS = 3
NOTHING = "–"

Run = dict[str, Any]


def range_of(values: Iterable[float | None], form: str = "{:.2f}") -> str:
    """From the lowest to the highest, or the only one; a dash if nothing was measured."""
    known = sorted(value for value in values if value is not None)
    if not known:
        return NOTHING
    low, high = form.format(known[0]), form.format(known[-1])
    number, _, unit = low.partition(" ")
    return high if low == high else f"{number if high.endswith(unit) else low} to {high}"


def median(values: Sequence[float]) -> float | None:
    return statistics.median(values) if values else None


def ratio(over: float | None, under: float | None) -> float | None:
    return over / under if over is not None and under else None


def over_runs(runs: Sequence[Run]) -> str:
    """How many runs, on which days; says so if they are too few for a range."""
    dated = [run["date"] for run in runs if run["date"] != NOT_RECORDED]
    days = sorted(set(dated))
    undated = len(runs) - len(dated)
    how_many = f"{counted(len(dated), 'run')} on {counted(len(days), 'day')} ({', '.join(days)})"
    how_many += f", and {counted(undated, 'run')} of unrecorded date" if undated else ""
    few = f" With fewer than {ENOUGH_DAYS} recorded days, ranges are provisional." if len(days) < ENOUGH_DAYS else ""
    return f"{how_many}.{few}"


def counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def latest_run(run: Run) -> str:
    """When, where and by which command the latest run was made, and what had to be repeated."""
    latest = f"Latest: {conditions(run)}"
    versions = ", ".join(f"{name} {version}" for name, version in run.get("versions", {}).items())
    return f"{latest} {versions}." if versions else latest


def conditions(run: Run) -> str:
    """When, where and by which command; and what had to be repeated."""
    made = f"{run['date']}, {run['machine']}, Python {run['python']}; `{run['command']}`."
    return " ".join(filter(None, (made, repeats_told(run))))


def probe_cells(run: Run) -> tuple[str, str, str]:
    """What Python and system calls cost there, and how many Python calls fit into a pair of system calls."""
    if "probe" not in run:
        return NOTHING, NOTHING, NOTHING
    call_ns, pair_us = run["probe"]["python_call_ns"], run["probe"]["system_call_pair_us"]
    return f"{call_ns:.0f} ns", f"{pair_us:.1f} µs", f"{pair_us * 1000 / call_ns:.0f}"
