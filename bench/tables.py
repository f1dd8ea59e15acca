"""Writes the results of benchmarks into the tables of the documentation, so that both agree.

python -m bench.tables        rewrites the tables in README.md and docs/
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from bench.adversary import table as adversary_table
from bench.mutation import table as mutation_table
from bench.ranges import NOTHING, Run, conditions, counted, latest_run, median, over_runs, probe_cells, range_of, ratio
from bench.serving import ROOT, read_results
from bench.truthserver import STOP_S

DOCUMENTS = (
    ROOT / "README.md",
    *(
        ROOT / "docs" / name
        for name in (
            "adversary.md",
            "mutation.md",
            "performance.md",
            "target-performance.md",
            "truth.md",
            "validity.md",
            "statistics.md",
        )
    ),
)
_BLOCK = re.compile(r"(<!-- (?P<name>[a-z-]+): [^\n]*-->\n).*?(<!-- end -->)", re.DOTALL)


def refreshed(document: str) -> str:
    """The document with all of its tables regenerated from the results."""
    return _BLOCK.sub(lambda match: f"{match[1]}{TABLES[match['name']]()}\n{match[3]}", document)


def table(head: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> str:
    lines = [head, ("---", *("---:" for _ in head[1:])), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def throughput() -> str:
    runs = read_results("throughput")["runs"]
    parts = [
        f"{over_runs(runs)} {latest_run(runs[-1])}",
        _ratios(runs),
        "Each run, in requests/s (medians):",
        _runs(runs),
    ]
    if over_tls := [run for run in runs if run.get("tls_median_rps")]:
        parts += ["Over TLS:", _ratios(over_tls, "tls_")]
    return "\n\n".join(parts)


def _ratios(runs: list[Run], way: str = "") -> str:
    """A row per client: the range over all runs, and the rounds of the latest; `way` is what its keys begin with."""
    medians, latest = f"{way}median_rps", runs[-1]
    rows = []
    for name in _clients(runs, medians):
        rounds = latest.get(f"{way}rounds_rps", {}).get(name, [])
        ratios = [] if name == "loadproof" else _over(runs, name, medians)
        rows.append(
            (
                name,
                "" if name == "loadproof" else range_of(ratios),
                _goal(latest.get(f"{way}goals", {}).get(name), ratios),
                range_of([median(rounds)], "{:,.0f}"),
                f"{range_of(rounds, '{:,.0f}')} ({len(rounds)})",
            )
        )
    head = ("client", f"loadproof is × as fast, {counted(len(runs), 'run')}", "goal, at least")
    return table((*head, "latest run: requests/s, median", "lowest to highest round (rounds)"), rows)


def _clients(runs: list[Run], medians: str) -> list[str]:
    return list(dict.fromkeys(name for run in reversed(runs) for name in run[medians]))


def _over(runs: list[Run], name: str, medians: str) -> list[float]:
    """How many times as fast as this client loadproof was, in each run that measured both."""
    ratios = (ratio(run[medians].get("loadproof"), run[medians].get(name)) for run in runs)
    return [one for one in ratios if one is not None]


def _goal(goal: float | None, ratios: list[float]) -> str:
    if goal is None:
        return ""
    missed = sum(one < goal for one in ratios)
    return f"{goal}, missed in {missed} of {len(ratios)}" if missed else str(goal)


def _runs(runs: list[Run]) -> str:
    """A row per run: the cost of Python and of system calls there, and each client's median."""
    names = _clients(runs, "median_rps")
    rows = [
        (
            f"{run['date']}, {run['machine']}",
            *probe_cells(run),
            *(range_of([run["median_rps"].get(name)], "{:,.0f}") for name in names),
        )
        for run in runs
    ]
    return table(("run", "Python call", "send + receive", "pair ÷ call", *names), rows)


def clients() -> str:
    runs = read_results("clients")["runs"]
    latest = runs[-1]
    measured = latest["requests_per_generator_cpu_s"]
    one_process = next(iter(measured))
    rows: list[tuple[object, ...]] = []
    for name, values in measured.items():
        per_run = [run["requests_per_generator_cpu_s"] for run in runs]
        over = [ratio(median(one.get(name, [])), median(one.get(one_process, []))) for one in per_run]
        what = f"requests per CPU-second of the generator: {name}"
        rows.append((what, ", ".join(f"{value:,.0f}" for value in values) or NOTHING, range_of(over)))
    idle = f"memory per idle client: {latest['idle_clients']:,} with a connection each (goal: 60 KB)"
    rows.append((idle, range_of([latest["memory_per_idle_client_kb"]], "{:.1f} KB"), ""))
    head = ("what", "latest run", f"median relative to one process, {counted(len(runs), 'run')} (goal: 0.9)")
    return f"{over_runs(runs)} {latest_run(latest)}\n\n{table(head, rows)}"


def parts() -> str:
    found = read_results("parts")
    rows = [
        ("parse an answer with a known head", f"{found['parse_known_head_us']:.2f} µs"),
        ("parse an answer with a new head", f"{found['parse_new_head_us']:.2f} µs"),
        ("read its body by orjson", f"{found['orjson_us']:.2f} µs"),
        ("read it by Python's json, for comparison", f"{found['json_us']:.2f} µs"),
        ("record a request: stored when it ends", f"{found['kept_per_request_us']:.2f} µs per request"),
        (
            "record a request: processed at the end of the second",
            f"{found['worked_out_per_request_us']:.2f} µs per request",
        ),
        ("record: together, per value (goal: 0.3 µs)", f"{found['per_value_us']:.2f} µs"),
        ("record: one by one in Python, for comparison", f"{found['one_by_one_per_value_us']:.2f} µs per value"),
        ("record: share of a core at 1000 requests/s", f"{found['share_of_a_core_at_1000_rps']:.2%}"),
        (
            "command to second 0, embedded target (goal: 2 s)",
            ", ".join(f"{value:.2f} s" for value in found["command_to_second_0_s"]),
        ),
    ]
    return f"{conditions(found)}\n\n{table(('what', 'measured'), rows)}"


def request_profile() -> str:
    found = read_results("request-profile")
    whole_us = us_per_request(found)
    rows = [(part, f"{share:.1%}", _us(share, whole_us)) for part, share in found["shares"].items()]
    rows.append(("total", "100%", _us(1, whole_us)))
    return f"{conditions(found)}\n\n{table(('part', 'share', 'µs per request'), rows)}"


def us_per_request(profile: Run) -> float | None:
    """For loadproof's median on the profile's machine, on the same day if possible; None without such a run."""
    runs = [run for run in read_results("throughput")["runs"] if run["machine"] == profile["machine"]]
    runs = [run for run in runs if "loadproof" in run["median_rps"]]
    of_its_day = [run for run in runs if run["date"] == profile["date"]]
    for run in (of_its_day or runs)[-1:]:
        return float(1e6 / run["median_rps"]["loadproof"])
    return None


def _us(share: float, whole_us: float | None) -> str:
    return NOTHING if whole_us is None else f"{share * whole_us:.2f}"


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
    """What each tool reports about a server that stops, from the smallest to the largest p95; loadproof last."""
    p95 = {
        one["tool"].partition(" ")[0]: one
        for one in read_results("truth")["errors"]
        if (one["script"], one["kind"], one["quantile"]) == ("stops", "response", 0.95)
    }
    ours = p95.pop("loadproof")
    others = sorted(p95.items(), key=lambda item: item[1]["reported_s"])
    seconds = read_results("truth")["scripts"]["stops"]["seconds"]
    reported = ", ".join(f"{tool} {_ms(one['reported_s'])}" for tool, one in others).replace(" ", " reports ", 1)
    return (
        f"**A server stopped once for {STOP_S:g} s while it was loaded for {seconds} s: "
        f"the true p95 is {_ms(ours['true_s'])}. "
        f"{reported} and loadproof {_ms(ours['reported_s'])}.**"
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


def protection() -> str:
    found = read_results("protection")
    base = found["median_us"]["no protection"]
    rows = [
        (title, f"{cost:,.0f} µs", f"{cost - base:+,.0f} µs" if cost != base else "")
        for title, cost in found["median_us"].items()
    ]
    told = f"{conditions(found)} Medians of {len(found['rounds_us']['no protection'])} rounds."
    return f"{told}\n\n{table(('one GET of a balance', 'CPU time', 'compared with no protection'), rows)}"


def target_frames() -> str:
    rows = [(f"`{one['frame']}`", f"{one['share']:.1%}") for one in read_results("target-capacity")["widest_frames"]]
    return table(("frame", "share"), rows)


def coverage() -> str:
    found = read_results("coverage")
    rows = [
        (one["seconds"], one["phi"], *(f"{one[name]:.1%}" for name in ("p95", "error_ratio", "rate")))
        for one in found["rows"]
    ]
    head = ("seconds", "correlation", "p95", "error ratio", "rate")
    return f"{conditions(found)} {found['simulations']:,} simulations each.\n\n{table(head, rows)}"


def analysis() -> str:
    found = read_results("analysis")
    rows = [
        (f"{one['case']}, × {one['times']}", f"{one['took_s']:.1f} s", f"{one['peak_mb']:.0f} MB", one.get("goal", ""))
        for one in found["cases"]
    ]
    return f"{conditions(found)}\n\n{table(('what', 'time', 'peak', 'goal, at most'), rows)}"


def adversary() -> str:
    return adversary_table.shown(read_results("adversary"))


def mutation() -> str:
    return mutation_table.shown(read_results("mutation"))


TABLES: dict[str, Callable[[], str]] = {
    "adversary": adversary,
    "mutation": mutation,
    "throughput": throughput,
    "clients": clients,
    "parts": parts,
    "request-profile": request_profile,
    "truth": truth,
    "stops": stops,
    "rate": rate,
    "starvation": starvation,
    "coverage": coverage,
    "analysis": analysis,
    "target-rounds": target_rounds,
    "target-frames": target_frames,
    "protection": protection,
}


def main() -> None:
    for document in DOCUMENTS:
        document.write_text(refreshed(document.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
