"""Targets that reset, close or refuse while a request is already under way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from bench.adversary.bank import JSON, Answer, Honest
from bench.adversary.case import FAIL, INCONCLUSIVE, PASS, Check, Played
from bench.adversary.play import running
from bench.adversary.scenarios import THRESHOLDS, of
from bench.adversary.scripts import (
    both,
    only,
    paths,
    reused,
    share,
    worked_then,
)

if TYPE_CHECKING:
    from bench.adversary.wire import Request, Script, Wire


def _counted(played: Played) -> Iterator[str]:
    """The requests that the server read must match loadproof's count, including repeated ones."""
    reported = sum(played.outcomes().values())
    reported += sum(
        row["repeated"] + row["abandoned"] for row in played.verdict.get("summary", []) if row["endpoint"] is None
    )
    if played.verdict and len(played.load) > reported + 2:
        yield f"the server read {len(played.load)} requests, told are {reported}"


def _heard(outcome: str, *, never: str = "connection") -> Check:
    """The refusal must be reported as such, not as a broken connection."""

    def check(played: Played) -> Iterator[str]:
        outcomes = played.outcomes()
        if outcomes.get(never, 0) > 0.02 * sum(outcomes.values()) or not outcomes.get(outcome):
            yield f"outcomes { ({name: count for name, count in outcomes.items() if count}) }, most had to be {outcome}"

    return check


def _close(wire: Wire) -> None:
    wire.close()


def _reset(wire: Wire) -> None:
    wire.reset()


def _refuses_unread(status: int, *headers: tuple[str, str]) -> Any:
    """Answers after reading the headers and closes while the body still arrives, so that the kernel sends a reset."""

    def make() -> Script:
        honest = Honest()

        async def script(request: Request, wire: Wire) -> None:
            if request.header("content-length"):
                await wire.send(Answer({"title": "no"}, status, (*JSON, *headers, ("Connection", "close"))).whole())
                wire.close()
            else:
                await honest(request, wire)

        return script

    return make


CASES = (
    running(
        "resets after processing",
        "resets every request after 20 ms",
        "reads and processes the request, then resets; only a connection's first request is answered",
        script=only(reused, worked_then(_reset, 0.02)),
        also=(_counted,),
    ),
    running(
        "resets after processing",
        "resets a third after 20 ms",
        "the same for a third of the requests",
        script=only(both(reused, share(0.33)), worked_then(_reset, 0.02)),
        also=(_counted,),
    ),
    running(
        "resets after processing",
        "closes a third after 20 ms",
        "the same, but the connection is closed properly",
        script=only(both(reused, share(0.33)), worked_then(_close, 0.02)),
        also=(_counted,),
    ),
    running(
        "resets after processing",
        "resets a third of payments",
        "immediately; a client may repeat one with its idempotency key, but the repetition may be reset, too",
        script=only(both(paths("/transactions"), share(0.33)), worked_then(_reset)),
        scenario=of("transactions") | {"thresholds": [{"expect": "error_ratio < 1 %"}, THRESHOLDS[1]]},
        also=(_counted,),
    ),
    running(
        "closes immediately",
        "closes a tenth immediately",
        "reads the request and closes; a client may repeat it, but has to report that",
        script=only(both(reused, share(0.1)), worked_then(_close)),
        right=(PASS, FAIL, INCONCLUSIVE),
        also=(_counted,),
    ),
    running(
        "early refusals",
        "413 before the body",
        "refuses after reading the head, and closes",
        script=_refuses_unread(413),
        reads_bodies=False,
        scenario=of("transactions"),
        also=(_heard("invalid"),),
    ),
    running(
        "early refusals",
        "429 before the body",
        "throttles after reading the head, and closes",
        script=_refuses_unread(429, ("Retry-After", "1")),
        reads_bodies=False,
        scenario=of("transactions") | {"expect_throttling": True},
        also=(_heard("throttled"),),
    ),
    running(
        "early refusals",
        "503 before the body",
        "the same without a Retry-After",
        script=_refuses_unread(503),
        reads_bodies=False,
        scenario=of("webhooks"),
        also=(_heard("server_error"),),
    ),
)
