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

import argparse
import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import psutil

from drills.running import LoadRun, Report, outcomes, quantile_ms, run_directories
from drills.target import ROOT, Target, running_target

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

LIMITS: Final = {"balance": 30, "transactions": 10, "webhooks": 5}
"""Per minute; the API's defaults."""
_MOST_GROWTH_BYTES: Final = 10_000_000
_SETTLED_S: Final = 5
_MOST_SLOWER: Final = 2.0
"""The neighbours' p(95) during the flood, as a multiple of the calm phase's."""
_MARGIN_S: Final = 2
_WINDOW_S: Final = 60
_CLIENT_HEADER: Final = "X-Drill-Client"


class Length(NamedTuple):
    calm_s: int
    flood_s: int
    """For the flooder, which runs `rise_s` longer than what is measured next to it."""
    rise_s: int
    neighbours: tuple[str, ...] = ()

    @property
    def windows(self) -> int:
        """Minutes that begin while it floods: the client has its quota in each."""
        return 1 + self.flood_s // _WINDOW_S

    @property
    def beside_s(self) -> int:
        return self.flood_s - self.rise_s


_SHORTEST_S: Final = 12
"""With fewer requests, the neighbours' thresholds could not be decided."""


def _neighbours(rps: int) -> tuple[str, ...]:
    """More of them for a shorter time."""
    return "client_count=400", *(f"phases.{phase}.rate={rps} rps" for phase in ("calm", "rise", "flood"))


LONG: Final = Length(20, 65, 10)
SHORT: Final = Length(5, 15, 5, _neighbours(200))


class Way(NamedTuple):
    """How a flood comes."""

    options: tuple[str, ...] = ()
    """Of drills.flooder."""
    settings: Mapping[str, str] = MappingProxyType({})
    """Of the API."""
    neighbours: tuple[str, ...] = ()
    """Changes of their scenario."""
    has_limits: bool = True
    is_promised: bool = True
    """That the neighbours' p(95) stays within twice its calm value."""


WAYS: Final = {
    "direct": Way(),
    "proxy": Way(
        ("--header", f"{_CLIENT_HEADER}: flooder"),
        MappingProxyType({"CLIENT_HEADER": _CLIENT_HEADER, "TRUSTED_NETWORKS": "127.0.0.0/8"}),
        (f"clients={{header: {_CLIENT_HEADER}}}",),
    ),
    "metrics": Way(("--path", "/metrics"), has_limits=False),
    "ready": Way(("--path", "/health/ready"), has_limits=False),
    "anew": Way(("--connect-anew",), is_promised=False),
}


class Sent(NamedTuple):
    """What became of the flooder's requests."""

    total: int
    refused: int
    admitted: dict[str, int]
    """By endpoint."""


class Vitals(NamedTuple):
    """The API's during the flood."""

    first_bytes: int
    last_bytes: int
    cores: float
    """How much of one core it used."""


class Flooding(Protocol):
    """A flood in a separate process."""

    @property
    def process(self) -> subprocess.Popen[Any]: ...

    def sent(self, report: Report) -> Sent:
        """Available when it has ended."""


class ByLoadproof:
    def __init__(self, target: Target, out: Path, length: Length) -> None:
        self._run = LoadRun("flood", target, out, f"phases.flood.duration={length.flood_s} s")
        self.process = self._run.process

    def sent(self, report: Report) -> Sent:
        verdict = self._run.verdict(120)
        ended = outcomes(verdict, "flood")
        # A few dozen answers say little about the next run's; they are counted below, each of them.
        report.judged(self._run, verdict, is_about_next=False)
        admitted = {endpoint: outcomes(verdict, "flood", endpoint)["ok"] for endpoint in LIMITS}
        return Sent(sum(ended.values()), ended["throttled"], admitted)


class ByFlooder:
    def __init__(self, target: Target, rps: int, length: Length, way: Way) -> None:
        options = ["--rps", str(rps), "--seconds", str(length.flood_s), *way.options]
        command = [sys.executable, "-m", "drills.flooder", target.url, *options]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)

    def sent(self, report: Report) -> Sent:
        said, _ = self.process.communicate(timeout=120)
        if self.process.returncode != 0:
            raise SystemExit("drill: the flooder failed; see what it printed above")
        counts: dict[str, dict[str, int]] = json.loads(said)
        report.fact(f"flooder: {counts}")
        admitted = {
            endpoint: sum(n for status, n in by_status.items() if status.startswith("2"))
            for endpoint, by_status in counts.items()
        }
        total = sum(sum(by_status.values()) for by_status in counts.values())
        return Sent(total, sum(by_status.get("429", 0) for by_status in counts.values()), admitted)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Flood the reference API from one address.")
    parser.add_argument("--short", action="store_true", help="half a minute")
    parser.add_argument("--rps", type=int, help="requests per second of the flooder (default: 1000, by loadproof)")
    parser.add_argument("--way", choices=WAYS, default="direct", help="with --rps: how the flood comes")
    parser.add_argument("--seconds", type=int, default=15, help="with --rps: length of the calm, and of the flood")
    options = parser.parse_args(arguments)
    if options.seconds < _SHORTEST_S:
        parser.error(f"--seconds: too short to show anything, got {options.seconds}; give at least {_SHORTEST_S}")
    length, rps, way = SHORT if options.short else LONG, options.rps or 1000, WAYS[options.way]
    if options.rps is None and way != WAYS["direct"]:
        parser.error("--way: only drills.flooder floods like that; give --rps")
    if options.rps is not None:
        rise_s = _SETTLED_S + _MARGIN_S
        length = Length(options.seconds, options.seconds + rise_s, rise_s, _neighbours(130))
    report = Report(f"flood of {rps:,} rps from one address, {options.way}")
    with run_directories("flood", kept=not options.short) as out, target_on_its_own_core(**way.settings) as target:
        changes = (
            f"calm.duration={length.calm_s}",
            f"rise.duration={length.rise_s}",
            f"flood.duration={length.beside_s}",
        )
        neighbours = LoadRun(
            "neighbours",
            target,
            out,
            *(f"phases.{change} s" for change in changes),
            *length.neighbours,
            *way.neighbours,
        )
        target.wait_for_requests()
        time.sleep(length.calm_s)
        flooding = ByFlooder(target, rps, length, way) if options.rps is not None else ByLoadproof(target, out, length)
        vitals = vitals_while(flooding, target, length, rps)
        tell_of_flooder(report, flooding.sent(report), rps, length, has_limits=way.has_limits)
        of_neighbours = neighbours.verdict(120)
    report.judged(neighbours, of_neighbours)
    tell_of_neighbours(report, of_neighbours, is_promised=way.is_promised)
    growth = vitals.last_bytes - vitals.first_bytes
    report.fact(f"the API used {vitals.cores:.0%} of a core")
    report.fact(f"the API's memory: {vitals.first_bytes / 1e6:.1f} MB, in the end {vitals.last_bytes / 1e6:.1f} MB")
    report.promise(f"memory is flat: {growth / 1e6:+.1f} MB", kept=growth < _MOST_GROWTH_BYTES)
    return report.exit_code()


@contextmanager
def target_on_its_own_core(**settings: str) -> Iterator[Target]:
    """As if on its own machine: this process and everything it starts use the other cores, if there are any."""
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
    """From some seconds into the flood until its end, one sample per second."""
    process = psutil.Process(target.process.pid)
    due = target.metric("http_requests_total") + min(rps, 1000) * _SETTLED_S
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
