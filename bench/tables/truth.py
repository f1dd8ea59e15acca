"""Tables of docs/truth.md, and the opening paragraph of the README: tools' numbers compared with known times."""

from __future__ import annotations

from typing import Any

from bench.ranges import Run, conditions, latest_run, over_days, over_runs, range_of, ratio
from bench.serving import read_results
from bench.tables.markdown import table
from loadproof.run.experiments.truthserver import STOP_S


def truth() -> str:
    results = read_results("truth")
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items() if name != "nginx")
    parts = [f"{conditions(results)} {results['rounds']} rounds; {versions}."]
    for script, load in results["scripts"].items():
        for kind in ("response", "service"):
            errors = [error for error in results["errors"] if (error["script"], error["kind"]) == (script, kind)]
            title = f"**{script}**, {load['rate_rps']} requests/s for {load['seconds']} s: {kind} time"
            parts += [title, _errors(errors, kind) if errors else "Not measured."]
    return "\n\n".join(parts)


def _errors(errors: list[dict[str, Any]], kind: str) -> str:
    """A row per measured tool; the header has the truth for the first tool, which is loadproof if it was measured."""
    cells: dict[str, dict[float, dict[str, Any]]] = {}
    for error in errors:
        cells.setdefault(error["tool"], {})[error["quantile"]] = error
    first = next(iter(cells.values()))
    head = (f"{kind} time", *(f"p{q * 100:g} ({error['true_s'] * 1000:.1f} ms)" for q, error in first.items()))
    return table(head, [(tool, *(_error(row[q]) for q in first)) for tool, row in cells.items()])


def _error(error: dict[str, Any]) -> str:
    """The error in ms and in % of the truth; bold beyond the tolerance."""
    text = f"{error['error_s'] * 1000:+.2f} ms ({error['error_s'] / error['true_s']:+.1%})"
    return f"**{text}**" if error["of_tolerance"] > 1 else text


def stops() -> str:
    """A paragraph on a stalling server: what tools that stop sending with it report, and what others do."""
    results = read_results("truth")
    p95 = {
        error["tool"].partition(" ")[0]: error
        for error in results["errors"]
        if (error["script"], error["kind"], error["quantile"]) == ("stops", "response", 0.95)
    }
    ours, load = p95["loadproof"], results["scripts"]["stops"]
    slowest_s = 0.05 * load["seconds"]
    p95_of = {tool: _ms(error["reported_s"]) for tool, error in p95.items()}
    return (
        f"A server stalls once, for {STOP_S:g} s, during {load['seconds']} s at {load['rate_rps']} requests/s, "
        f"so its users see a p95 of {_ms(ours['true_s'])}: the slowest 5 % arrive in the stall's first "
        f"{slowest_s:.1f} s, and wait {STOP_S - slowest_s:.1f} s or longer. Locust reports {p95_of['Locust']} "
        f"and hey {p95_of['hey']}, because they stop sending while they wait (coordinated omission); loadproof reports "
        f"{p95_of['loadproof']}, k6 {p95_of['k6']} with its constant-arrival-rate executor, and wrk {p95_of['wrk']} "
        "([how they were run](docs/truth.md))."
    )


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


def rate() -> str:
    runs = read_results("rate")["runs"]
    rows: list[tuple[object, ...]] = [
        (f"start lag, {name}", *(_of_median(runs, tool, key, "{:.2f} ms", 1000) for tool in ("loadproof", "k6")), goal)
        for name, key, goal in (
            ("p50", "lag_p50_s", "0.3 ms"),
            ("p99", "lag_p99_s", "2 ms"),
            ("p99.9", "lag_p99.9_s", ""),
        )
    ]
    sending, whole = "sending_cpu_s_per_1000", "cpu_s_per_1000"
    theirs = _of_median(runs, "k6", whole, "{:.3f} s")
    over = [ratio(_median_of(run, "loadproof", sending), _median_of(run, "k6", whole)) for run in runs]
    rows += [
        ("CPU per 1000 requests, process that sends", _of_median(runs, "loadproof", sending, "{:.3f} s"), theirs, ""),
        ("the same, relative to k6", over_days(over, runs), "", runs[-1]["goals"]["cpu_over_k6"]),
        ("CPU per 1000 requests, whole command", _of_median(runs, "loadproof", whole, "{:.3f} s"), theirs, ""),
    ]
    rounds = len(runs[-1]["rounds"]["loadproof"])
    caption = f"{over_runs(runs)} {latest_run(runs[-1])} Medians of each run's rounds ({rounds} in the latest)."
    return f"{caption}\n\n{table(('what', 'loadproof', 'k6', 'goal'), rows)}"


def _of_median(runs: list[Run], tool: str, key: str, form: str, scale: float = 1) -> str:
    values = (_median_of(run, tool, key) for run in runs)
    return range_of((None if value is None else value * scale for value in values), form)


def _median_of(run: Run, tool: str, key: str) -> float | None:
    value: float | None = run["median"].get(tool, {}).get(key)
    return value
