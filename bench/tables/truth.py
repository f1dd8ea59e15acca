"""The tables of docs/truth.md, and the sentence that opens the README: what tools report of times that are known."""

from __future__ import annotations

from typing import Any

from bench.ranges import Run, conditions, latest_run, over_runs, range_of, ratio
from bench.serving import read_results
from bench.tables.markdown import table
from loadproof.run.truthserver import STOP_S


def truth() -> str:
    found = read_results("truth")
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items() if name != "nginx")
    parts = [f"{conditions(found)} {found['rounds']} rounds; {versions}."]
    for script, load in found["scripts"].items():
        for kind in ("response", "service"):
            errors = [one for one in found["errors"] if (one["script"], one["kind"]) == (script, kind)]
            title = f"**{script}**, {load['rate_rps']} requests/s for {load['seconds']} s: {kind} time"
            parts += [title, _errors(errors, kind) if errors else "Not measured."]
    return "\n\n".join(parts)


def _errors(errors: list[dict[str, Any]], kind: str) -> str:
    """A row per measured tool; the truth in the header is the first one's, which is loadproof's if it was measured."""
    cells: dict[str, dict[float, dict[str, Any]]] = {}
    for one in errors:
        cells.setdefault(one["tool"], {})[one["quantile"]] = one
    first = next(iter(cells.values()))
    head = (f"{kind} time", *(f"p{q * 100:g} ({one['true_s'] * 1000:.1f} ms)" for q, one in first.items()))
    return table(head, [(tool, *(_error(row[q]) for q in first)) for tool, row in cells.items()])


def _error(one: dict[str, Any]) -> str:
    """In ms and as a fraction of the truth; bold beyond the tolerance."""
    text = f"{one['error_s'] * 1000:+.2f} ms ({one['error_s'] / one['true_s']:+.1%})"
    return f"**{text}**" if one["of_tolerance"] > 1 else text


def stops() -> str:
    """What tools report about a server that stalls: those that stop sending with it, and those that don't."""
    found = read_results("truth")
    p95 = {
        one["tool"].partition(" ")[0]: one
        for one in found["errors"]
        if (one["script"], one["kind"], one["quantile"]) == ("stops", "response", 0.95)
    }
    ours, load = p95["loadproof"], found["scripts"]["stops"]
    slowest_s = 0.05 * load["seconds"]
    said = {tool: _ms(one["reported_s"]) for tool, one in p95.items()}
    return (
        f"**A server stalls once, for {STOP_S:g} s, during {load['seconds']} s at {load['rate_rps']} requests/s. "
        f"Its users see a p95 of {_ms(ours['true_s'])}. Locust reports {said['Locust']} and hey {said['hey']}, because "
        "they stop sending while they wait (coordinated omission). loadproof reports "
        f"{said['loadproof']}.** You can check it in your head: the slowest 5 % arrive in the stall's first "
        f"{slowest_s:.1f} s, and wait {STOP_S - slowest_s:.1f} s or longer. k6 reports {said['k6']} with its "
        f"constant-arrival-rate executor, wrk {said['wrk']} ([how they were run](docs/truth.md))."
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
        ("the same, relative to k6", range_of(over), "", runs[-1]["goals"]["cpu_over_k6"]),
        ("CPU per 1000 requests, whole command", _of_median(runs, "loadproof", whole, "{:.3f} s"), theirs, ""),
    ]
    rounds = len(runs[-1]["rounds"]["loadproof"])
    told = f"{over_runs(runs)} {latest_run(runs[-1])} Medians of each run's rounds ({rounds} in the latest)."
    return f"{told}\n\n{table(('what', 'loadproof', 'k6', 'goal'), rows)}"


def _of_median(runs: list[Run], tool: str, key: str, form: str, scale: float = 1) -> str:
    values = (_median_of(run, tool, key) for run in runs)
    return range_of((None if value is None else value * scale for value in values), form)


def _median_of(run: Run, tool: str, key: str) -> float | None:
    value: float | None = run["median"].get(tool, {}).get(key)
    return value
