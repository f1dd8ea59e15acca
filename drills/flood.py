"""A thousand requests a second from one address, beside a hundred clients that keep to their limits.

    python -m drills.flood            a minute and a half
    python -m drills.flood --short    half a minute

Exit code 0 when every promise was kept, 1 when one was broken, 4 when a busy machine left it open.
"""

from __future__ import annotations

import sys
import time
from typing import Final, NamedTuple

import psutil

from drills.running import LoadRun, Report, Target, outcomes, quantile_ms, run_directories, running_target

LIMITS: Final = {"balance": 30, "transactions": 10, "webhooks": 5}
"""A minute; the API's defaults."""
_MOST_GROWTH_BYTES: Final = 10_000_000
_SETTLED_S: Final = 5


class Length(NamedTuple):
    calm_s: int
    flood_s: int
    windows: int
    """Minutes that begin while it floods: the client has its quota in each."""
    neighbours: tuple[str, ...] = ()


LONG: Final = Length(20, 65, 2)
SHORT: Final = Length(5, 15, 1, ("client_count=400", "phases.calm.rate=200 rps", "phases.flood.rate=200 rps"))


def main(arguments: list[str]) -> int:
    is_short = "--short" in arguments
    length = SHORT if is_short else LONG
    with run_directories("flood", kept=not is_short) as out, running_target() as target:
        beside_s = length.flood_s + _SETTLED_S
        neighbours = LoadRun(
            "neighbours",
            target,
            out,
            *(f"phases.calm.duration={length.calm_s} s", f"phases.flood.duration={beside_s} s", *length.neighbours),
        )
        target.wait_for_requests()
        time.sleep(length.calm_s)
        flooder = LoadRun("flood", target, out, f"phases.flood.duration={length.flood_s} s")
        memory = memory_while(flooder, target, length)
        of_flooder, of_neighbours = flooder.verdict(120), neighbours.verdict(120)
    report = Report("flood from one address")
    sent = outcomes(of_flooder, "flood")
    report.fact(f"flooder: {sum(sent.values()):,} requests in {length.flood_s} s, {sent['throttled']:,} refused")
    report.promise("at least 1000 rps came from one address", kept=sum(sent.values()) >= 1000 * length.flood_s * 0.99)
    for endpoint, limit in LIMITS.items():
        admitted, quota = outcomes(of_flooder, "flood", endpoint)["ok"], limit * length.windows
        report.promise(f"flooder has exactly its quota of {endpoint}: {admitted} of {quota}", kept=admitted == quota)
    report.promise("all its other requests were refused", kept=sent["ok"] + sent["throttled"] == sum(sent.values()))
    report.judged(flooder, of_flooder)
    tell_of_neighbours(report, of_neighbours)
    report.judged(neighbours, of_neighbours)
    growth = memory[-1] - memory[0]
    report.fact(f"the API's memory: {memory[0] / 1e6:.1f} MB, in the end {memory[-1] / 1e6:.1f} MB")
    report.promise(f"memory is flat: {growth / 1e6:+.1f} MB", kept=growth < _MOST_GROWTH_BYTES)
    return report.exit_code()


def memory_while(flooder: LoadRun, target: Target, length: Length) -> list[int]:
    """Bytes, a sample a second, from some seconds into the flood until its end."""
    process = psutil.Process(target.process.pid)
    before = target.metric("protection_refusals_total")
    while target.metric("protection_refusals_total") < before + 1000 * _SETTLED_S and flooder.process.poll() is None:
        time.sleep(0.5)
    samples = [process.memory_info().rss]
    until_s = time.monotonic() + length.flood_s
    while flooder.process.poll() is None and time.monotonic() < until_s:
        time.sleep(1)
        samples.append(process.memory_info().rss)
    return samples


def tell_of_neighbours(report: Report, verdict: dict[str, object]) -> None:
    calm, flood = outcomes(verdict, "calm"), outcomes(verdict, "flood")
    total = sum(flood.values())
    report.fact(f"neighbours: {sum(calm.values()):,} requests before, {total:,} beside the flood")
    for name in ("p50", "p95", "p99"):
        before, beside = quantile_ms(verdict, "calm", name), quantile_ms(verdict, "flood", name)
        report.fact(f"neighbours' {name}: {before:.1f} ms before, {beside:.1f} ms beside the flood")
    report.promise("no neighbour saw a 429", kept=flood["throttled"] + calm["throttled"] == 0)
    report.promise(
        f"neighbours' success: {flood['ok'] / total:.3%} (at least 99.9 %)", kept=flood["ok"] >= 0.999 * total
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
