"""Describes several runs of a benchmark: ranges, the number of runs and their days."""

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
    """'lowest to highest', or the only value; a dash if nothing was measured."""
    known = sorted(value for value in values if value is not None)
    if not known:
        return NOTHING
    low, high = form.format(known[0]), form.format(known[-1])
    number, _, unit = low.partition(" ")
    return high if low == high else f"{number if high.endswith(unit) else low} to {high}"


def over_days(ratios: Iterable[float | None], runs: Sequence[Run]) -> str:
    """The range of these runs' ratios; a dash before enough days, because one day's says little about the next's."""
    return range_of(ratios) if has_enough_days(runs) else NOTHING


def has_enough_days(runs: Sequence[Run]) -> bool:
    return len(_days(runs)) >= ENOUGH_DAYS


def _days(runs: Sequence[Run]) -> list[str]:
    return sorted({run["date"] for run in runs} - {NOT_RECORDED})


def median(values: Sequence[float]) -> float | None:
    return statistics.median(values) if values else None


def ratio(over: float | None, under: float | None) -> float | None:
    return over / under if over is not None and under else None


def over_runs(runs: Sequence[Run]) -> str:
    """The number of runs and their days; says if there are too few for ratios."""
    days, undated = _days(runs), sum(run["date"] == NOT_RECORDED for run in runs)
    how_many = f"{counted(len(runs) - undated, 'run')} on {counted(len(days), 'day')} ({', '.join(days)})"
    how_many += f", and {counted(undated, 'run')} of unrecorded date" if undated else ""
    few = "" if has_enough_days(runs) else f" No ratios are shown for fewer than {ENOUGH_DAYS} recorded days."
    return f"{how_many}.{few}"


def counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def latest_run(run: Run) -> str:
    """Date, machine and command of the latest run, repeats, and versions."""
    latest = f"Latest: {conditions(run)}"
    versions = ", ".join(f"{name} {version}" for name, version in run.get("versions", {}).items())
    return f"{latest} {versions}." if versions else latest


def conditions(run: Run) -> str:
    """Date, machine, Python version and command of a run, and what had to be repeated."""
    made = f"{run['date']}, {run['machine']}, Python {run['python']}; `{run['command']}`."
    return " ".join(filter(None, (made, repeats_told(run))))


def probe_cells(run: Run) -> tuple[str, str, str]:
    """The cost of Python and of system calls in a run, and the number of Python calls per pair of system calls."""
    if "probe" not in run:
        return NOTHING, NOTHING, NOTHING
    call_ns, pair_us = run["probe"]["python_call_ns"], run["probe"]["system_call_pair_us"]
    return f"{call_ns:.0f} ns", f"{pair_us:.1f} µs", f"{pair_us * 1000 / call_ns:.0f}"
