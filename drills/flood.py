"""Thousands of requests a second from one address, while other clients keep to their limits.

    python -m drills.flood                             1000 a second by loadproof, a minute and a half
    python -m drills.flood --short                     the same for half a minute
    python -m drills.flood --rps 5000 --seconds 15     at another rate by drills.flooder, measured for so many seconds
    python -m drills.flood --rps 5000 --way proxy      the same, all clients behind a trusted proxy
    python -m drills.flood --rps 500 --way metrics     /metrics, which has no limit; ready: /health/ready
    python -m drills.flood --rps 1000 --way anew       a connection per request: reported, not promised

Exit code 0 when every promise was kept, 1 when one was broken, 4 when a busy machine left it open.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import psutil

from drills.floodplan import SETTLED_S, Length, Plan, plan_of
from drills.running import LoadRun, Report, outcomes, quantile_ms, run_directories
from drills.target import ROOT, Target, running_target

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LIMITS: Final = {"balance": 30, "transactions": 10, "webhooks": 5}
"""Requests per minute, by endpoint; the API's defaults."""
_MOST_GROWTH_BYTES: Final = 10_000_000
_MOST_SLOWER: Final = 2.0
"""The neighbours' p(95) during the flood, as a multiple of the calm phase's."""


class Sent(NamedTuple):
    """The outcomes of the flooder's requests."""

    total: int
    refused: int
    admitted: dict[str, int]
    """Admitted requests by endpoint."""


class Vitals(NamedTuple):
    """The API's vital signs during the flood."""

    first_bytes: int
    last_bytes: int
    cores: float
    """CPU time per second; 1.0 is one full core."""


class Flooding(Protocol):
    """A flood in a separate process."""

    @property
    def process(self) -> subprocess.Popen[Any]: ...

    def sent(self, report: Report) -> Sent:
        """The outcomes, available once the flood has ended."""


class ByLoadproof:
    def __init__(self, target: Target, out: Path, length: Length) -> None:
        self._run = LoadRun("flood", target, out, f"phases.flood.duration={length.flood_s} s")
        self.process = self._run.process

    def sent(self, report: Report) -> Sent:
        verdict = self._run.verdict(120)
        ended = outcomes(verdict, "flood")
        # A few dozen answers say little about the next run; each of them is counted below instead.
        report.judged(self._run, verdict, is_about_next=False)
        admitted = {endpoint: outcomes(verdict, "flood", endpoint)["ok"] for endpoint in LIMITS}
        return Sent(sum(ended.values()), ended["throttled"], admitted)


class ByFlooder:
    def __init__(self, target: Target, plan: Plan) -> None:
        options = ["--rps", str(plan.rps), "--seconds", str(plan.length.flood_s), *plan.way.options]
        command = [sys.executable, "-m", "drills.flooder", target.url, *options]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)

    def sent(self, report: Report) -> Sent:
        output, _ = self.process.communicate(timeout=120)
        if self.process.returncode != 0:
            raise SystemExit("drill: the flooder failed; see what it printed above")
        counts: dict[str, dict[str, int]] = json.loads(output)
        report.fact(f"flooder: {counts}")
        admitted = {
            endpoint: sum(n for status, n in by_status.items() if status.startswith("2"))
            for endpoint, by_status in counts.items()
        }
        total = sum(sum(by_status.values()) for by_status in counts.values())
        return Sent(total, sum(by_status.get("429", 0) for by_status in counts.values()), admitted)


def main(arguments: list[str]) -> int:
    plan = plan_of(arguments)
    report = Report(f"flood of {plan.rps:,} rps from one address, {plan.way_name}")
    with (
        run_directories("flood", kept=not plan.is_short) as out,
        target_on_its_own_core(**plan.way.settings) as target,
    ):
        neighbours = LoadRun("neighbours", target, out, *plan.neighbours)
        target.wait_for_requests()
        time.sleep(plan.length.calm_s)
        flooding = ByFlooder(target, plan) if plan.is_by_flooder else ByLoadproof(target, out, plan.length)
        vitals = vitals_while(flooding, target, plan.length, plan.rps)
        tell_of_flooder(report, flooding.sent(report), plan.rps, plan.length, has_limits=plan.way.has_limits)
        verdict = neighbours.verdict(120)
    report.judged(neighbours, verdict)
    tell_of_neighbours(report, verdict, is_promised=plan.way.is_promised)
    tell_of_target(report, vitals)
    return report.exit_code()


@contextmanager
def target_on_its_own_core(**settings: str) -> Iterator[Target]:
    """Run the target as if on its own machine: this process and its children use the other cores, if there are any."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[:1])
    try:
        with running_target(**settings) as target:
            os.sched_setaffinity(0, cores[1:] or cores)
            yield target
    finally:
        os.sched_setaffinity(0, cores)


def tell_of_flooder(report: Report, sent: Sent, rps: int, length: Length, *, has_limits: bool = True) -> None:
    report.fact(f"flooder: {sent.total:,} requests in {length.flood_s} s, {sent.refused:,} refused")
    reached = sent.total / length.flood_s
    report.measured(f"at least {rps} rps came from one address: {reached:.0f}", is_so=reached >= 0.99 * rps)
    if not has_limits:
        report.promise("all its requests were answered", kept=sum(sent.admitted.values()) == sent.total)
        return
    for endpoint, limit in LIMITS.items():
        admitted, quota = sent.admitted[endpoint], limit * length.windows
        report.promise(f"flooder has exactly its quota of {endpoint}: {admitted} of {quota}", kept=admitted == quota)
    rest = sent.total - sum(sent.admitted.values())
    report.promise("all its other requests were refused", kept=sent.refused == rest)


def vitals_while(flooding: Flooding, target: Target, length: Length, rps: int) -> Vitals:
    """Sample the API once per second, from a few seconds into the flood until its end."""
    process = psutil.Process(target.process.pid)
    due = target.metric("http_requests_total") + min(rps, 1000) * SETTLED_S
    while target.metric("http_requests_total") < due and flooding.process.poll() is None:
        time.sleep(0.5)
    began_s = time.monotonic()
    samples, cpu_s = [process.memory_info().rss], [_cpu_s(process)]
    while flooding.process.poll() is None and time.monotonic() < began_s + length.flood_s:
        time.sleep(1)
        samples.append(process.memory_info().rss)
        cpu_s.append(_cpu_s(process))
    return Vitals(samples[0], samples[-1], (cpu_s[-1] - cpu_s[0]) / (time.monotonic() - began_s))


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def tell_of_target(report: Report, vitals: Vitals) -> None:
    growth = vitals.last_bytes - vitals.first_bytes
    report.fact(f"the API used {vitals.cores:.0%} of a core")
    report.fact(f"the API's memory: {vitals.first_bytes / 1e6:.1f} MB, in the end {vitals.last_bytes / 1e6:.1f} MB")
    report.promise(f"memory is flat: {growth / 1e6:+.1f} MB", kept=growth < _MOST_GROWTH_BYTES)


def tell_of_neighbours(report: Report, verdict: dict[str, object], *, is_promised: bool = True) -> None:
    calm, flood = outcomes(verdict, "calm"), outcomes(verdict, "flood")
    total = sum(flood.values())
    report.fact(f"neighbours: {sum(calm.values()):,} requests before, {total:,} during the flood")
    for name in ("p50", "p95", "p99"):
        before, beside = quantile_ms(verdict, "calm", name), quantile_ms(verdict, "flood", name)
        if before is None or beside is None:
            report.measured(f"neighbours' {name}", is_so=False)
            continue
        text = f"neighbours' {name}: {before:.1f} ms before, {beside:.1f} ms during the flood"
        if name != "p95" or not is_promised:
            report.fact(text)
        elif verdict["verdict"] == "INVALID":
            report.measured(text, is_so=False)
        else:
            report.promise(f"{text}: within twice", kept=beside <= _MOST_SLOWER * before)
    report.promise("no neighbour saw a 429", kept=flood["throttled"] + calm["throttled"] == 0)
    report.promise(
        f"neighbours' success: {flood['ok'] / total:.3%} (at least 99.9 %)", kept=flood["ok"] >= 0.999 * total
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
