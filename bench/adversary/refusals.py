"""Targets that refuse requests: all of them, some of them, or to cover up slowness."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.adversary.bank import JSON, Answer, Headers, Honest
from bench.adversary.case import FAIL, INCONCLUSIVE
from bench.adversary.play import running
from bench.adversary.scenarios import closed, open_
from bench.adversary.scripts import (
    always,
    between,
    clients,
    delayed,
    only,
    says,
    throttles,
)

if TYPE_CHECKING:
    from bench.adversary.wire import Request, Script, Wire

GOODPUT = [{"expect": "goodput_ratio >= 20 %"}]
AGAIN: Headers = (("Retry-After", "1"),)
ERROR = says('{"title": "broken"}', 500)


def _two_ways(first: Any, second: Any) -> Any:
    """Answers alternate between two ways."""

    def make() -> Script:
        honest = Honest()
        ways = first(honest), second(honest)

        async def script(request: Request, wire: Wire) -> None:
            await (honest if request.at_s < 0 else ways[request.number % 2])(request, wire)

        return script

    return make


def _breaks_its_promise() -> Script:
    """Retry-After is one second, and so it is again after that second."""
    honest, asked = Honest(), dict[str, int]()

    async def script(request: Request, wire: Wire) -> None:
        asked[request.peer] = asked.get(request.peer, 0) + (request.at_s >= 0)
        refusal = Answer({}, 429, (*JSON, *AGAIN))
        await wire.send((refusal if asked[request.peer] > 5 else honest.bank.answer(request)).whole())

    return script


def _odd_waits() -> Script:
    """Half of the requests are refused, with an unusable Retry-After."""
    honest = Honest()
    values = ("0.5", "-1", "Fri, 31 Dec 10000 23:59:59 GMT", "soon", "", "1e9")

    async def script(request: Request, wire: Wire) -> None:
        value = values[request.number % len(values)]
        refusal = Answer({}, 429, (*JSON, ("Retry-After", value)))
        refuses = request.at_s >= 0 and request.number % 2
        await wire.send((refusal if refuses else honest.bank.answer(request)).whole())

    return script


CASES = (
    running(
        "refuses everything quickly",
        "403 for everything",
        "quick refusals that don't count in the error ratio",
        script=only(always, says("{}", 403)),
    ),
    running(
        "refuses everything quickly",
        "429 for everything",
        "the same, under the name of throttling",
        script=throttles(always, AGAIN),
        scenario=closed(expect_throttling=True),
    ),
    running(
        "refuses everything quickly",
        "503 for everything",
        "it is down, and calls it throttling",
        script=throttles(always, AGAIN, 503),
        scenario=closed(expect_throttling=True),
    ),
    running(
        "refusals hide slowness",
        "fast 429, slow 200",
        "half of the requests are refused immediately, the rest take 450 ms",
        script=_two_ways(says("{}", 429), delayed(0.45)),
        scenario=open_(expect_throttling=True, thresholds=[{"expect": "p(90) < 250 ms"}, *GOODPUT]),
    ),
    running(
        "refusals hide slowness",
        "fast 500, slow 200",
        "the same with errors that a threshold allows",
        script=_two_ways(ERROR, delayed(0.45)),
        scenario=open_(thresholds=[{"expect": "p(90) < 250 ms"}, *GOODPUT]),
    ),
    running(
        "Retry-After that lies",
        "Retry-After never kept",
        "keeps refusing after each wait",
        script=_breaks_its_promise,
        scenario=closed(expect_throttling=True),
        right=(FAIL, INCONCLUSIVE),
    ),
    running(
        "Retry-After that lies",
        "Retry-After of a year",
        "from second 2 on, asks clients to come back in a year",
        script=throttles(between(2, 99), (("Retry-After", "31536000"),)),
        scenario=closed(expect_throttling=True),
        right=(FAIL, INCONCLUSIVE),
    ),
    running(
        "Retry-After unreadable",
        "Retry-After of 0.5, -1, year 10000",
        "half of the requests are refused with unusable values",
        script=_odd_waits,
        scenario=closed(expect_throttling=True, when_throttled="ignore"),
    ),
    running(
        "some clients are refused",
        "401 for two in three clients",
        "the others are served correctly",
        script=only(clients(3, 2), says("{}", 401)),
    ),
)
