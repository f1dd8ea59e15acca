"""Tables of docs/performance.md: the overhead of loadproof, compared with other clients."""

from __future__ import annotations

from bench.ranges import (
    NOTHING,
    Run,
    conditions,
    counted,
    has_enough_days,
    latest_run,
    median,
    over_days,
    over_runs,
    probe_cells,
    range_of,
    ratio,
)
from bench.serving import read_results
from bench.tables.markdown import table
from bench.throughput import HTTPUSER


def throughput() -> str:
    runs = read_results("throughput")["runs"]
    parts = [
        f"{over_runs(runs)} {latest_run(runs[-1])}",
        _ratios(runs),
        "Each run, in requests/s (medians):",
        _runs(runs),
    ]
    if with_httpuser := [run for run in runs if HTTPUSER in run["median_rps"]]:
        change = f"Locust's users with `{HTTPUSER}` as their only change. {over_runs(with_httpuser)}"
        parts += [change, _httpuser_ratios(with_httpuser)]
    if over_tls := [run for run in runs if run.get("tls_median_rps")]:
        parts += [f"Over TLS. {over_runs(over_tls)}", _ratios(over_tls, "tls_")]
    return "\n\n".join(parts)


def _ratios(runs: list[Run], way: str = "") -> str:
    """A row per client: the range over all runs, and the rounds of the latest; `way` is the prefix of its keys."""
    medians, latest = f"{way}median_rps", runs[-1]
    rows = []
    for name in _clients(runs, medians):
        rounds = latest.get(f"{way}rounds_rps", {}).get(name, [])
        ratios = [] if name == "loadproof" else _over(runs, name, medians)
        rows.append(
            (
                name,
                "" if name == "loadproof" else over_days(ratios, runs),
                _goal(latest.get(f"{way}goals", {}).get(name), ratios, runs),
                range_of([median(rounds)], "{:,.0f}"),
                f"{range_of(rounds, '{:,.0f}')} ({len(rounds)})",
            )
        )
    head = ("client", f"loadproof is × as fast, {counted(len(runs), 'run')}", "goal, at least")
    return table((*head, "latest run: requests/s, median", "lowest to highest round (rounds)"), rows)


def _clients(runs: list[Run], medians: str) -> list[str]:
    return list(dict.fromkeys(name for run in reversed(runs) for name in run[medians]))


def _over(runs: list[Run], name: str, medians: str = "median_rps", *, ours: str = "loadproof") -> list[float]:
    """How many times as fast as this client `ours` was, in each run that measured both."""
    ratios = (ratio(run[medians].get(ours), run[medians].get(name)) for run in runs)
    return [times for times in ratios if times is not None]


def _goal(goal: float | None, ratios: list[float], runs: list[Run]) -> str:
    if goal is None:
        return ""
    missed = sum(times < goal for times in ratios) if has_enough_days(runs) else 0
    return f"{goal}, missed in {missed} of {len(ratios)}" if missed else str(goal)


def _runs(runs: list[Run]) -> str:
    """A row per run: the cost of Python and of system calls on its machine, and each client's median."""
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


def _httpuser_ratios(runs: list[Run]) -> str:
    rows = []
    for name, goal in runs[-1]["httpuser_goals"].items():
        ratios = _over(runs, name, ours=HTTPUSER)
        rows.append((name, over_days(ratios, runs), _goal(goal, ratios, runs)))
    return table(("client", f"{HTTPUSER} is × as fast, {counted(len(runs), 'run')}", "goal, at least"), rows)


def clients() -> str:
    runs = read_results("clients")["runs"]
    latest = runs[-1]
    measured = latest["requests_per_generator_cpu_s"]
    one_process = next(iter(measured))
    rows: list[tuple[object, ...]] = []
    for name, values in measured.items():
        per_run = [run["requests_per_generator_cpu_s"] for run in runs]
        over = [ratio(median(values_of.get(name, [])), median(values_of.get(one_process, []))) for values_of in per_run]
        what = f"requests per CPU-second of the generator: {name}"
        known = [value for value in over if value is not None]
        goal = "" if name == one_process else _goal(0.9, known, runs)
        rows.append((what, ", ".join(f"{value:,.0f}" for value in values) or NOTHING, over_days(over, runs), goal))
    idle = f"memory per idle client: {latest['idle_clients']:,} with a connection each (goal: 60 KB)"
    rows.append((idle, range_of([latest["memory_per_idle_client_kb"]], "{:.1f} KB"), "", ""))
    head = ("what", "latest run", f"median relative to one process, {counted(len(runs), 'run')}", "goal, at least")
    return f"{over_runs(runs)} {latest_run(latest)}\n\n{table(head, rows)}"


def parts() -> str:
    results = read_results("parts")
    rows = [
        ("parse an answer with a known head", f"{results['parse_known_head_us']:.2f} µs"),
        ("parse an answer with a new head", f"{results['parse_new_head_us']:.2f} µs"),
        ("read its body by orjson", f"{results['orjson_us']:.2f} µs"),
        ("read it by Python's json, for comparison", f"{results['json_us']:.2f} µs"),
        ("record a request: stored when it ends", f"{results['kept_per_request_us']:.2f} µs per request"),
        (
            "record a request: processed at the end of the second",
            f"{results['worked_out_per_request_us']:.2f} µs per request",
        ),
        ("record: together, per value (goal: 0.3 µs)", f"{results['per_value_us']:.2f} µs"),
        ("record: one by one in Python, for comparison", f"{results['one_by_one_per_value_us']:.2f} µs per value"),
        ("record: share of a core at 1000 requests/s", f"{results['share_of_a_core_at_1000_rps']:.2%}"),
        (
            "command to second 0, embedded target (goal: 2 s)",
            ", ".join(f"{value:.2f} s" for value in results["command_to_second_0_s"]),
        ),
    ]
    return f"{conditions(results)}\n\n{table(('what', 'measured'), rows)}"


def journal() -> str:
    results = read_results("journal")
    rows = [
        (
            row["kind"],
            f"{row['sent_us']:.1f} µs",
            f"{row['sent_us'] + row['later_us']:.1f} µs",
            f"{row['bytes']:.0f} bytes",
        )
        for row in results["rows"]
    ]
    head = ("a row of", "where it is sent (goal: 3 µs)", "in all (goal: 10 µs)", "compressed")
    return f"{conditions(results)}\n\n{table(head, rows)}"


def request_profile() -> str:
    profile = read_results("request-profile")
    whole_us = us_per_request(profile)
    rows = [(part, f"{share:.1%}", _us(share, whole_us)) for part, share in profile["shares"].items()]
    rows.append(("total", "100%", _us(1, whole_us)))
    return f"{conditions(profile)}\n\n{table(('part', 'share', 'µs per request'), rows)}"


def us_per_request(profile: Run) -> float | None:
    """From loadproof's median on the profile's machine, on the same day if possible; None without such a run."""
    runs = [run for run in read_results("throughput")["runs"] if run["machine"] == profile["machine"]]
    runs = [run for run in runs if "loadproof" in run["median_rps"]]
    of_its_day = [run for run in runs if run["date"] == profile["date"]]
    for run in (of_its_day or runs)[-1:]:
        return float(1e6 / run["median_rps"]["loadproof"])
    return None


def _us(share: float, whole_us: float | None) -> str:
    return NOTHING if whole_us is None else f"{share * whole_us:.2f}"


def analysis() -> str:
    results = read_results("analysis")
    rows = [
        (f"{row['case']}, × {row['times']}", f"{row['took_s']:.1f} s", f"{row['peak_mb']:.0f} MB", row.get("goal", ""))
        for row in results["cases"]
    ]
    return f"{conditions(results)}\n\n{table(('what', 'time', 'peak', 'goal, at most'), rows)}"
