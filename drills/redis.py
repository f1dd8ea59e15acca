"""Redis killed, restarted, hung and resumed under load: what clients and limits notice.

    python -m drills.redis            a minute and a half
    python -m drills.redis --short    half a minute

Exit code 0 when every promise was kept, 1 when one was broken, 4 when a busy machine left it open.
"""

from __future__ import annotations

import http.client
import sys
import time
from typing import Any, Final
from urllib.parse import urlsplit

from drills.redisserver import RedisServer
from drills.running import LoadRun, Report, outcomes, quantile_ms, run_directories
from drills.target import Target, running_target

PROCESSES: Final = 2
LIMIT: Final = 30
"""Balance requests per minute and client."""
ASKED: Final = 100
PHASES: Final = ("shared", "dead", "back", "hung", "on")
LOST: Final = {"dead", "hung"}
_TIMEOUT_S: Final = 0.25
"""REDIS_TIMEOUT: how much longer a request in flight may take when Redis is lost."""
_LONGEST_ANSWER_S: Final = 1.0
"""For a client that comes once all processes know of the loss; with a margin for a busy machine."""
_MOST_LONGER_S: Final = 2 * _TIMEOUT_S
"""How much longer than the slowest answer of the healthy phase: twice the timeout, for a busy machine."""


def main(arguments: list[str]) -> int:
    is_short = "--short" in arguments
    phase_s = 5 if is_short else 15
    changes = [f"phases.{phase}.duration={phase_s} s" for phase in PHASES]
    if is_short:
        changes += ["client_count=400", *(f"phases.{phase}.rate=200 rps" for phase in PHASES)]
    settings = {"LIMITER": "redis", "WORKERS": str(PROCESSES), "REDIS_TIMEOUT": str(_TIMEOUT_S)}
    with run_directories("redis", kept=not is_short) as out, RedisServer() as server:
        incidents = {"dead": server.kill, "back": server.start_again, "hung": server.hang, "on": server.go_on}
        greedy: dict[str, tuple[int, float]] = {}
        stores: dict[str, tuple[float, float]] = {}
        with running_target(**settings, REDIS_URL=server.url) as target:
            run = LoadRun("redis", target, out, *changes)
            target.wait_for_requests()
            began_s = time.monotonic()
            for number, phase in enumerate(PHASES):
                time.sleep(max(0.0, began_s + number * phase_s - time.monotonic()))
                incidents.get(phase, lambda: None)()
                # Let the load's requests run into the incident first, and the API's probe find Redis again.
                time.sleep(min(2.0, phase_s / 3))
                greedy[phase] = admitted_of(target, f"127.88.0.{number + 1}")
                stores[phase] = (
                    target.metric("limiter_store", 'store="redis"'),
                    target.metric("limiter_store", 'store="local"'),
                )
            verdict = run.verdict(120)
    report = Report(f"Redis lost and back, with {PROCESSES} processes")
    for phase in PHASES:
        tell_of(report, phase, greedy[phase], stores[phase])
    tell_of_clients(report, verdict)
    report.judged(run, verdict)
    return report.exit_code()


def admitted_of(target: Target, address: str) -> tuple[int, float]:
    """How many of a client's 100 requests, each on its own connection, were admitted; and the slowest in seconds."""
    place = urlsplit(target.url)
    admitted, slowest_s = 0, 0.0
    for _ in range(ASKED):
        began_s = time.monotonic()
        connection = http.client.HTTPConnection(place.netloc, timeout=10, source_address=(address, 0))
        connection.request("GET", "/balance/acct-000001")
        admitted += connection.getresponse().status == 200
        connection.close()
        slowest_s = max(slowest_s, time.monotonic() - began_s)
    return admitted, slowest_s


def tell_of(report: Report, phase: str, greedy: tuple[int, float], stores: tuple[float, float]) -> None:
    admitted, slowest_s = greedy
    shared, local = stores
    report.fact(
        f"{phase}: {shared:.0f} processes count in Redis, {local:.0f} locally; slowest answer {slowest_s:.3f} s"
    )
    if phase in LOST:
        bounds = f"{LIMIT} to {PROCESSES} × {LIMIT}"
        report.promise(f"{phase}: all processes count locally, and say so", kept=local == PROCESSES)
        kept = LIMIT <= admitted <= PROCESSES * LIMIT
    else:
        bounds = str(LIMIT)
        report.promise(f"{phase}: all processes count in Redis", kept=shared == PROCESSES)
        kept = admitted == LIMIT
    report.promise(f"{phase}: of {ASKED} requests of one client {admitted} were admitted ({bounds})", kept=kept)
    report.promise(f"{phase}: none of them waited for Redis", kept=slowest_s < _LONGEST_ANSWER_S)


def tell_of_clients(report: Report, verdict: dict[str, Any]) -> None:
    longest_s = {phase: longest_answer_s(verdict, phase) for phase in PHASES}
    allowed_s = longest_s[PHASES[0]] + _MOST_LONGER_S
    for phase in PHASES:
        ended = outcomes(verdict, phase)
        p50, p99 = quantile_ms(verdict, phase, "p50"), quantile_ms(verdict, phase, "p99")
        report.fact(f"{phase}: {sum(ended.values()):,} requests, p50 {p50:.1f} ms, p99 {p99:.1f} ms")
        errors = sum(ended.values()) - ended["ok"] - ended["throttled"]
        report.promise(
            f"{phase}: no error, and no client within its limits refused", kept=errors + ended["throttled"] == 0
        )
        if phase != PHASES[0]:
            text = f"{phase}: the slowest answer took {longest_s[phase]:.3f} s, of {allowed_s:.3f} s that are allowed"
            if verdict["verdict"] == "INVALID":
                report.measured(text, is_so=False)
            else:
                report.promise(text, kept=longest_s[phase] <= allowed_s)


def longest_answer_s(verdict: dict[str, Any], phase: str) -> float:
    """The slowest answer of a phase, including requests in flight when Redis was lost."""
    [slowest] = [
        threshold
        for threshold in verdict["thresholds"]
        if threshold["expect"].startswith("max") and threshold["scope"].endswith(f" · {phase}")
    ]
    return float(slowest["value"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
