"""Results of benchmarks to the tables in the documents, so that both say the same.

python -m bench.tables        writes the tables in docs/ anew
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from bench.serving import RESULTS, ROOT

DOCUMENTS = tuple(
    ROOT / "docs" / name
    for name in ("performance.md", "target-performance.md", "truth.md", "validity.md", "statistics.md")
)
_BLOCK = re.compile(r"(<!-- (?P<name>[a-z-]+): [^\n]*-->\n).*?(<!-- end -->)", re.DOTALL)


def refreshed(document: str) -> str:
    """The document with all of its tables as the results have them."""
    return _BLOCK.sub(lambda match: f"{match[1]}{TABLES[match['name']]()}\n{match[3]}", document)


def results(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return found


def table(head: tuple[str, ...], rows: list[tuple[object, ...]]) -> str:
    lines = [head, ("---", *("---:" for _ in head[1:])), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def conditions(name: str) -> str:
    """When, where and by which command."""
    found = results(name)
    return f"{found['date']}, {found['machine']}, Python {found['python']}; `{found['command']}`."


def throughput() -> str:
    found = results("throughput")
    rows: list[tuple[object, ...]] = []
    for name, median in found["median_rps"].items():
        rounds = found["rounds_rps"][name]
        goal = found["goals"].get(name)
        over = "" if name == "loadproof" else f"{found['loadproof_over'][name]:.2f}"
        rows.append((name, f"{median:,.0f}", f"{min(rounds):,.0f} to {max(rounds):,.0f}", over, goal or ""))
    head = ("client", "requests/s, median", f"of {len(rounds)} rounds", "loadproof is × as fast", "goal, at least")
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    return f"{conditions('throughput')} {versions}.\n\n{table(head, rows)}"


def clients() -> str:
    found = results("clients")
    rows: list[tuple[object, ...]] = [
        (
            f"requests per generator's CPU-second: {name}",
            ", ".join(f"{one[name]:,.0f}" for one in found["requests_per_generator_cpu_s"]),
            f"{over:.2f}",
        )
        for name, over in found["over_one_process"].items()
    ]
    idle = f"memory per idle client: {found['idle_clients']:,} with a connection each (goal: 60 KB)"
    rows.append((idle, f"{found['memory_per_idle_client_kb']:.1f} KB", ""))
    head = ("what", "measured", "median over one process's (goal: 0.9)")
    return f"{conditions('clients')}\n\n{table(head, rows)}"


def parts() -> str:
    found = results("parts")
    rows = [
        ("parse an answer whose head came before", f"{found['parse_known_head_us']:.2f} µs"),
        ("parse one whose head is new", f"{found['parse_new_head_us']:.2f} µs"),
        ("read its body by orjson", f"{found['orjson_us']:.2f} µs"),
        ("read it by Python's json, to compare", f"{found['json_us']:.2f} µs"),
        ("record a request: kept when it ends", f"{found['kept_per_request_us']:.2f} µs a request"),
        (
            "record a request: worked out at the end of the second",
            f"{found['worked_out_per_request_us']:.2f} µs a request",
        ),
        ("record: together, per value (goal: 0.3 µs)", f"{found['per_value_us']:.2f} µs"),
        ("record: one by one in Python, to compare", f"{found['one_by_one_per_value_us']:.2f} µs a value"),
        ("record: share of a core at 1000 requests/s", f"{found['share_of_a_core_at_1000_rps']:.2%}"),
        (
            "command to second 0, embedded target (goal: 2 s)",
            ", ".join(f"{value:.2f} s" for value in found["command_to_second_0_s"]),
        ),
    ]
    return f"{conditions('parts')}\n\n{table(('what', 'measured'), rows)}"


def request_profile() -> str:
    found = results("request-profile")
    us_per_request = 1e6 / results("throughput")["median_rps"]["loadproof"]
    rows = [(part, f"{share:.1%}", f"{share * us_per_request:.2f}") for part, share in found["shares"].items()]
    rows.append(("together", "100%", f"{us_per_request:.2f}"))
    return f"{conditions('request-profile')}\n\n{table(('part', 'share', 'µs a request'), rows)}"


def truth() -> str:
    found = results("truth")
    tools = list(dict.fromkeys(one["tool"] for one in found["errors"]))
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items() if name != "nginx")
    parts = [f"{conditions('truth')} {found['rounds']} rounds; {versions}."]
    for script, load in found["scripts"].items():
        for kind in ("response", "service"):
            errors = [one for one in found["errors"] if (one["script"], one["kind"]) == (script, kind)]
            quantiles = list(dict.fromkeys(one["quantile"] for one in errors))
            true_s = {one["quantile"]: one["true_s"] for one in errors if one["tool"] == "loadproof"}
            head = (f"{kind} time", *(f"p{q * 100:g} ({true_s[q] * 1000:.1f} ms)" for q in quantiles))
            rows: list[tuple[object, ...]] = [
                (tool, *(_error(one) for one in errors if one["tool"] == tool)) for tool in tools
            ]
            title = f"**{script}**, {load['rate_rps']} requests/s for {load['seconds']} s: {kind} time"
            parts += [title, table(head, rows)]
    return "\n\n".join(parts)


def _error(one: dict[str, Any]) -> str:
    """In ms and in parts of the truth; bold beyond what is tolerated."""
    text = f"{one['error_s'] * 1000:+.2f} ms ({one['error_s'] / one['true_s']:+.1%})"
    return f"**{text}**" if one["of_tolerance"] > 1 else text


def rate() -> str:
    found = results("rate")
    ours, k6 = found["median"]["loadproof"], found["median"]["k6"]
    over = found["cpu_over_k6"]
    rows: list[tuple[object, ...]] = [
        (f"start lag, {name}", f"{ours[key] * 1000:.2f} ms", f"{k6[key] * 1000:.2f} ms", goal)
        for name, key, goal in (
            ("p50", "lag_p50_s", "0.3 ms"),
            ("p99", "lag_p99_s", "2 ms"),
            ("p99.9", "lag_p99.9_s", ""),
        )
    ]
    sending, whole = ours["sending_cpu_s_per_1000"], ours["cpu_s_per_1000"]
    theirs = f"{k6['cpu_s_per_1000']:.3f} s"
    rows += [
        ("CPU per 1000 requests, process that sends", f"{sending:.3f} s", theirs, "half of k6's"),
        ("the same, over k6's", f"{over['process that sends']:.2f}", "", "0.5"),
        ("CPU per 1000 requests, whole command", f"{whole:.3f} s", theirs, ""),
    ]
    rounds = len(found["rounds"]["k6"])
    return f"{conditions('rate')} Medians of {rounds} rounds.\n\n{table(('what', 'loadproof', 'k6', 'goal'), rows)}"


def starvation() -> str:
    found = results("starvation")
    rows: list[tuple[object, ...]] = [
        (
            name,
            "INVALID" if one["is_generators"] else "anything else",
            f"{one['right']} of {one['times']}",
            ", ".join(f"{word} {count}" for word, count in sorted(one["verdicts"].items())),
        )
        for name, one in found["experiments"].items()
    ]
    return f"{conditions('starvation')}\n\n{table(('experiment', 'has to be', 'was', 'verdicts'), rows)}"


def target_rounds() -> str:
    found = results("target-capacity")
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
    return table(("round", "verdict", "goodput, requests/s", "p99 response time", "target's CPU, of one core"), rows)


def target_frames() -> str:
    rows = [(f"`{one['frame']}`", f"{one['share']:.1%}") for one in results("target-capacity")["widest_frames"]]
    return table(("frame", "share"), rows)


def coverage() -> str:
    found = results("coverage")
    rows = [
        (one["seconds"], one["phi"], *(f"{one[name]:.1%}" for name in ("p95", "error_ratio", "rate")))
        for one in found["rows"]
    ]
    head = ("seconds", "correlation", "p95", "error ratio", "rate")
    return f"{conditions('coverage')} {found['simulations']:,} simulations each.\n\n{table(head, rows)}"


def analysis() -> str:
    found = results("analysis")
    rows = [
        (f"{one['case']}, × {one['times']}", f"{one['took_s']:.1f} s", f"{one['peak_mb']:.0f} MB", one.get("goal", ""))
        for one in found["cases"]
    ]
    return f"{conditions('analysis')}\n\n{table(('what', 'time', 'peak', 'goal, at most'), rows)}"


TABLES: dict[str, Callable[[], str]] = {
    "throughput": throughput,
    "clients": clients,
    "parts": parts,
    "request-profile": request_profile,
    "truth": truth,
    "rate": rate,
    "starvation": starvation,
    "coverage": coverage,
    "analysis": analysis,
    "target-rounds": target_rounds,
    "target-frames": target_frames,
}


def main() -> None:
    for document in DOCUMENTS:
        document.write_text(refreshed(document.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
