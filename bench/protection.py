"""The CPU time that each protection of the reference API costs per request, and the cost of refusing one.

    python -m bench.protection [ROUNDS]        writes bench/results/protection.json

The application is called as a server calls it, on uvloop but without a socket, in one process, one request after the
other: GET /balance/{account} from many clients. The configurations take turns of a hundred requests each, so that a
busy machine affects all of them; a round's figure is the median of its turns, and the result is the median of the
rounds. Redis is a real server, whose CPU time isn't counted.
"""

from __future__ import annotations

import asyncio
import functools
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import uvloop

from bench.rounds import Rounds, Unmeasured
from bench.serving import machine, write_results
from drills.redisserver import RedisServer
from payments_api.app import make_app
from payments_api.ledger import create_database
from payments_api.settings import read_settings

TURNS = 20
A_TURN = 100
"""Requests per turn."""
CLIENTS = 500
WIDE = {f"LIMIT_{name}": "1000000/min" for name in ("HEALTH", "BALANCE", "TRANSACTIONS", "WEBHOOKS")}
PENALTIES = {"PENALTY_BASE": "10"}
BOTS = {"BOTS": "on"}
Scope = dict[str, Any]


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with tempfile.TemporaryDirectory() as name, RedisServer() as server:
        directory = Path(name)
        create_database(str(directory / "ledger.sqlite3"), 10)
        configurations = configured(directory, server.url)
        costs: dict[str, list[float]] = {title: [] for title in configurations}
        rounds = Rounds()
        for number in range(count):
            measured = rounds.measured("protection", functools.partial(one_round, configurations, directory))
            for title, cost_us in (measured or {}).items():
                costs[title].append(round(cost_us, 1))
                sys.stderr.write(f"round {number + 1} of {count}: {title}: {cost_us:.0f} µs\n")
    counts = rounds.reported()
    if not all(costs.values()):
        raise SystemExit("bench: no round could be measured; bench/results/protection.json stays as it was")
    write_results("protection", {**machine(), "command": "make bench", "rounds_us": costs, **counts})


def one_round(configurations: Mapping[str, dict[str, str]], directory: Path) -> dict[str, float]:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(costs_us(configurations, directory))


def configured(directory: Path, redis_url: str) -> dict[str, dict[str, str]]:
    """Settings of each configuration, by its name in the table."""
    redis = counted_in(redis_url)
    off, limits = {"LIMITER": "off"}, {"LIMITER": "local", **WIDE}
    lists = lists_of_others(directory)
    every = every_protection(directory)
    return {
        "no protection": off,
        "limits in memory": limits,
        "limits and penalties in memory": limits | PENALTIES,
        "the bot check alone": off | BOTS,
        "a deny and an allow list of 10,000 networks each, alone": off | lists,
        "all of them, counted in memory": every,
        "limits in Redis": limits | redis,
        "all of them, counted in Redis": every | redis,
        "limits by slowapi": {"LIMITER": "slowapi", **WIDE},
        "refused by a limit": {"LIMITER": "local", "LIMIT_BALANCE": "1/min"},
        "refused by a limit in Redis": redis | {"LIMIT_BALANCE": "1/min"},
        "refused by a penalty": limits | PENALTIES | {"LIMIT_BALANCE": "1/min"},
        "refused by the bot check": off | BOTS | {"BOTS_FILE": str(rule_for_the_benchmark(directory))},
        "refused by the deny list": off | {"DENY_FILE": str(everybody(directory))},
    }


def every_protection(directory: Path) -> dict[str, str]:
    """All protections, counting in memory; no client of the benchmark exceeds a limit or is on a list."""
    return {"LIMITER": "local", **WIDE, **PENALTIES, **BOTS, **lists_of_others(directory)}


def lists_of_others(directory: Path) -> dict[str, str]:
    """Deny and allow lists of 10,000 networks, none of which contains a client of the benchmark."""
    networks = directory / "networks.txt"
    networks.write_text("".join(f"10.{number // 250}.{number % 250}.0/24\n" for number in range(10_000)))
    return {"DENY_FILE": str(networks), "ALLOW_FILE": str(networks)}


def counted_in(redis_url: str) -> dict[str, str]:
    """Counting in Redis, with a generous timeout: a busy machine must not make the benchmark fall back to memory."""
    return {"LIMITER": "redis", "REDIS_URL": redis_url, "REDIS_TIMEOUT": "2"}


def rule_for_the_benchmark(directory: Path) -> Path:
    path = directory / "bots.txt"
    path.write_text("deny bench\n")
    return path


def everybody(directory: Path) -> Path:
    path = directory / "everybody.txt"
    path.write_text("127.0.0.0/8\n")
    return path


async def costs_us(configurations: Mapping[str, dict[str, str]], directory: Path) -> dict[str, float]:
    """CPU time per request in µs, by title; the first request of each client is not timed.

    Unmeasured if requests were counted without Redis for a moment.
    """
    database = str(directory / "ledger.sqlite3")
    apps = {title: make_app(read_settings(settings), database) for title, settings in configurations.items()}
    turns: dict[str, list[float]] = {title: [] for title in apps}
    async with AsyncExitStack() as stack:
        for app in apps.values():
            await stack.enter_async_context(app.router.lifespan_context(app))
            await ask_often(app, range(CLIENTS))
        for turn in range(TURNS):
            for title, app in apps.items():
                # CPU time of the event loop's thread only: the others watch for incidents.
                began_s = time.thread_time()
                await ask_often(app, range(turn * A_TURN, (turn + 1) * A_TURN))
                turns[title].append((time.thread_time() - began_s) / A_TURN * 1e6)
    if not all(b"limiter_fallbacks_total 0.0\n" in app.state.metrics.page() for app in apps.values()):
        raise Unmeasured("Redis was lost for a moment")
    return {title: statistics.median(costs) for title, costs in turns.items()}


async def ask_often(app: Callable[..., Any], numbers: Iterable[int]) -> None:
    for number in numbers:
        await ask(app, number)


async def ask(app: Callable[..., Any], number: int) -> None:
    client = number % CLIENTS
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/balance/acct-000001",
        "raw_path": b"/balance/acct-000001",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"127.0.0.1"), (b"user-agent", b"bench")],
        "client": (f"127.9.{client // 250}.{client % 250 + 1}", 40_000),
        "server": ("127.0.0.1", 8000),
    }
    await app(scope, _nothing_more, _ignore)


async def _nothing_more() -> dict[str, object]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _ignore(_: object) -> None:
    pass


if __name__ == "__main__":
    main()
