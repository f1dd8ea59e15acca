"""Targets that stall, are slow, die or fail some of the time or for some of their clients."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from bench.adversary.bank import Honest
from bench.adversary.case import FAIL, INVALID, REFUSED, Check, Played
from bench.adversary.play import Command, During, running
from bench.adversary.scenarios import closed, of, open_, within
from bench.adversary.scripts import (
    always,
    between,
    both,
    clients,
    delayed,
    only,
    paths,
    says,
    share,
    silent,
    standing,
)

if TYPE_CHECKING:
    from bench.adversary.wire import Request, Script, Server, Wire

GOODPUT = [{"expect": "goodput_ratio >= 20 %"}]
ERROR = says('{"title": "broken"}', 500)
LONG = [{"name": "steady", "duration": "12 s", "users": 20}]
MANY = {
    "clients": "source-address",
    "client_count": 100,
    "phases": [{"name": "steady", "duration": "8 s", "rate": "200 rps"}],
    "thresholds": [{"expect": "error_ratio < 1 %"}, {"expect": "goodput_ratio >= 90 %"}],
}


def _strict(percent: float, **changes: Any) -> dict[str, Any]:
    """The closed scenario, with this as the only limit that can be broken."""
    return closed(
        thresholds=[{"expect": f"error_ratio < {percent:g} %"}, {"expect": "goodput_ratio >= 50 %"}], **changes
    )


def _queues() -> Script:
    """One request at a time, 25 ms each: more arrive than it can serve."""
    honest, lock = Honest(), asyncio.Lock()

    async def script(request: Request, wire: Wire) -> None:
        async with lock:
            await asyncio.sleep(0.025 if request.at_s >= 0 else 0)
        await honest(request, wire)

    return script


def _dies(_: Command, server: Server) -> None:
    server.die()


def _dead_after_probe() -> Script:
    """Answers everything before the load, and resets every connection of the load."""
    honest = Honest()

    async def script(request: Request, wire: Wire) -> None:
        if request.at_s < 0:
            await honest(request, wire)
        else:
            wire.reset()

    return script


def _names(*words: str) -> Check:
    """The verdict must contain one of these words, which say when or what happened."""

    def check(played: Played) -> Iterator[str]:
        if played.said != INVALID and not any(played.told(word) for word in words):
            yield f"says nothing of {' or '.join(words)}"

    return check


OUTAGES = (
    running(
        "outage",
        "2 s of 12",
        "every request fails for two seconds; the limit is 1 %",
        script=only(between(5, 7), ERROR),
        scenario=_strict(1, phases=LONG),
        also=(_names("outage"),),
    ),
    running(
        "outage",
        "the second half",
        "half of the requests fail from the middle on",
        script=only(both(between(6, 99), share(0.5)), ERROR),
        scenario=_strict(1, phases=LONG),
    ),
    running(
        "outage",
        "the last second",
        "everything works until the last moments",
        script=only(between(11, 99), ERROR),
        scenario=_strict(1, phases=LONG),
    ),
    running(
        "outage",
        "the first second",
        "starts badly and then recovers",
        script=only(between(0, 1), ERROR),
        scenario=_strict(1, phases=LONG),
    ),
    running(
        "only a few are affected",
        "four of a hundred clients",
        "all of their requests fail; the limit is 1 % of all requests",
        script=only(clients(100, 4), ERROR),
        scenario=open_(**MANY),
    ),
    running(
        "only a few are affected",
        "one endpoint",
        "every webhook fails, a fifth of all requests",
        script=only(paths("/webhooks"), ERROR),
        scenario=_strict(5),
    ),
    running(
        "only a few are affected",
        "some accounts",
        "the balances of a few accounts fail",
        script=only(lambda request: request.path.endswith(("1", "7")), ERROR),
        scenario=_strict(5, mix=of("balance")["mix"]),
    ),
    running(
        "steady errors",
        "one in five fails",
        "without a pattern; the limit is 5 %",
        script=only(share(0.2), ERROR),
        scenario=_strict(5),
    ),
    running("dies", "dies midway", "stops listening halfway through the run", during=(During(_dies, 3.0),)),
    running(
        "dies",
        "dies before second 0",
        "answers the probe, then resets everything",
        script=_dead_after_probe,
        right=(FAIL, REFUSED),
    ),
    running("never there", "nobody listens", "the port is closed", url="http://127.0.0.1:9", right=(REFUSED,)),
    running(
        "hangs",
        "hangs from the beginning",
        "accepts the load's requests and never answers",
        script=only(always, silent),
    ),
    running("hangs", "hangs midway", "answers nothing from second 3 on", script=only(between(3, 99), silent)),
)
SLOW = (
    running(
        "stalls",
        "stalls for a quarter of the run, closed",
        "answers nothing for 3 of 12 s, then everything at once; meanwhile users can't send",
        script=only(between(4, 7), standing(7)),
        scenario=closed(
            phases=LONG,
            deadline="4 s",
            timeouts={"total": "8 s"},
            thresholds=[{"expect": "error_ratio < 10 %"}, {"expect": "goodput_ratio >= 90 %"}],
        ),
    ),
    running(
        "stalls",
        "stalls for a quarter of the run, open",
        "the same in the open model: arrivals wait meanwhile",
        script=only(between(4, 7), standing(7)),
        scenario=open_(
            phases=[{"name": "steady", "duration": "12 s", "rate": "80 rps"}],
            timeouts={"total": "8 s"},
            thresholds=[{"expect": "p(90) < 200 ms"}, {"expect": "goodput_ratio >= 90 %"}],
        ),
    ),
    running(
        "slower than the pace",
        "takes three times the pace",
        "600 ms where users send every 200 ms: two in three requests are never sent",
        script=only(always, delayed(0.6)),
    ),
    running(
        "too slow",
        "twice the limit",
        "400 ms where 200 ms are allowed",
        script=only(always, delayed(0.4)),
        scenario=within(200)
        | {
            "mix": of("balance", every="500 ms")["mix"],
            "thresholds": [{"expect": "p(90) < 200 ms"}, {"expect": "goodput_ratio >= 20 %"}],
        },
    ),
    running(
        "too slow",
        "slow for a third of the run",
        "three times the limit for 4 of 12 s",
        script=only(between(4, 8), delayed(0.6)),
        scenario=open_(
            phases=[{"name": "steady", "duration": "12 s", "rate": "80 rps"}],
            thresholds=[{"expect": "p(95) < 200 ms"}, {"expect": "goodput_ratio >= 20 %"}],
        ),
    ),
    running(
        "too slow",
        "correct but too late",
        "every answer is right, but 200 ms after the deadline",
        script=only(always, delayed(1.2)),
        scenario=closed(
            mix=of("balance", every="2 s")["mix"], phases=[{"name": "steady", "duration": "8 s", "users": 40}]
        ),
    ),
    running(
        "too slow",
        "one endpoint is slow",
        "payments take 500 ms, everything else 1 ms",
        script=only(paths("/transactions"), delayed(0.5)),
        scenario=open_(
            thresholds=[{"endpoint": "transactions", "expect": "p(75) < 200 ms"}, {"expect": "goodput_ratio >= 20 %"}]
        ),
    ),
    running(
        "saturated",
        "a queue that grows",
        "serves 40 of 80 arrivals per second, so each waits longer than the one before",
        script=_queues,
        scenario=open_(),
    ),
)
CASES = OUTAGES + SLOW
