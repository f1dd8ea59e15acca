"""Limiters that break their declared limit, each in another way, and honest ones of several kinds."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, Final

from bench.adversary.audited import ASKING, audited, limits, target
from bench.adversary.bank import JSON, Answer, Headers
from bench.adversary.books import Books
from bench.adversary.case import FAIL, INCONCLUSIVE, PASS

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.adversary.case import Case
    from bench.adversary.wire import Request

AMOUNT: Final = 5


class Fixed:
    """A fixed window per client, which its first request starts."""

    period_s = 1.0

    def __init__(self) -> None:
        self.windows: dict[str, tuple[float, int]] = {}

    def wait_s(self, client: str, now_s: float) -> float:
        """Seconds to wait; 0 if the request is admitted, and then it is counted."""
        start_s, count = self.windows.get(client, (-math.inf, 0))
        if now_s - start_s >= self.period_s:
            start_s, count = now_s, 0
        if count >= self.amount(client):
            return start_s + self.period_s - now_s
        self.windows[client] = start_s, count + 1
        return 0.0

    def amount(self, _: str) -> int:
        return AMOUNT


class Moving(Fixed):
    """A moving window: a log of each client's last period."""

    def __init__(self) -> None:
        super().__init__()
        self.logs: dict[str, deque[float]] = {}

    def wait_s(self, client: str, now_s: float) -> float:
        log = self.logs.setdefault(client, deque())
        while log and now_s - log[0] >= self.period_s:
            log.popleft()
        if len(log) >= AMOUNT:
            return log[0] + self.period_s - now_s
        log.append(now_s)
        return 0.0


class Bucket(Fixed):
    """GCRA: a token per fifth of the period."""

    def wait_s(self, client: str, now_s: float) -> float:
        step_s = self.period_s / AMOUNT
        due_s = max(self.windows.get(client, (now_s, 0))[0], now_s)
        if due_s - now_s > self.period_s - step_s + 1e-9:
            return due_s - now_s - self.period_s + step_s
        self.windows[client] = due_s + step_s, 0
        return 0.0


class CountsRefused(Moving):
    def wait_s(self, client: str, now_s: float) -> float:
        wait_s = super().wait_s(client, now_s)
        if wait_s:
            self.logs[client].append(now_s)
            self.logs[client].popleft()
        return wait_s


class Aligned(Fixed):
    """Windows aligned with the clock."""

    def wait_s(self, client: str, now_s: float) -> float:
        start_s, count = self.windows.get(client, (-1.0, 0))
        if math.floor(now_s) != math.floor(start_s):
            start_s, count = now_s, 0
        if count >= AMOUNT:
            return math.floor(now_s) + 1 - now_s
        self.windows[client] = start_s, count + 1
        return 0.0


class Leaky(Fixed):
    """Admits one of four requests that it should refuse."""

    refusals = 0

    def wait_s(self, client: str, now_s: float) -> float:
        wait_s = super().wait_s(client, now_s)
        self.refusals += wait_s > 0
        return 0.0 if wait_s and self.refusals % 4 == 0 else wait_s


class Favourites(Fixed):
    def amount(self, client: str) -> int:
        return 1_000 if int(client.rpartition(".")[2]) % 4 == 0 else AMOUNT


class Strict(Fixed):
    def amount(self, _: str) -> int:
        return AMOUNT - 1


class Together(Fixed):
    """All clients share one window, four times as large."""

    def amount(self, _: str) -> int:
        return 4 * AMOUNT

    def wait_s(self, _: str, now_s: float) -> float:
        return super().wait_s("all", now_s)


class OfFour(Fixed):
    """Remembers only four clients."""

    def wait_s(self, client: str, now_s: float) -> float:
        wait_s = super().wait_s(client, now_s)
        while len(self.windows) > 4:
            del self.windows[next(iter(self.windows))]
        return wait_s


class Long(Fixed):
    period_s = 3.0


class Renewing(Fixed):
    """Each admission restarts the window, like INCR with EXPIRE."""

    def wait_s(self, client: str, now_s: float) -> float:
        wait_s = super().wait_s(client, now_s)
        if not wait_s:
            self.windows[client] = now_s, self.windows[client][1]
        return wait_s


def in_whole_seconds(wait_s: float) -> Headers:
    return (("Retry-After", str(math.ceil(wait_s))),)


def as_date(wait_s: float) -> Headers:
    return (("Retry-After", formatdate(math.ceil(time.time() + wait_s), usegmt=True)),)


def four_more(wait_s: float) -> Headers:
    return in_whole_seconds(wait_s + 4)


def one(_: float) -> Headers:
    return in_whole_seconds(1)


def in_words(_: float) -> Headers:
    return (("Retry-After", "soon"),)


def limited(limiter: type[Fixed], tell: Callable[[float], Headers] = in_whole_seconds, think_s: float = 0.0) -> Any:
    """A server that limits requests for balances; `think_s` passes between reading the clock and counting."""

    class Limited(Books):
        def __init__(self) -> None:
            super().__init__()
            self.limiter = limiter()

        async def answer(self, request: Request) -> Answer:
            if request.path.startswith("/balance"):
                now_s = time.monotonic()
                await asyncio.sleep(think_s)
                if wait_s := self.limiter.wait_s(request.peer, now_s):
                    return Answer({"title": "too many"}, 429, (*JSON, *tell(wait_s)))
            return await super().answer(request)

    return Limited


class Racing(Books):
    """Reads the count, waits, then increments it: only simultaneous requests exceed the limit."""

    def __init__(self) -> None:
        super().__init__()
        self.windows: dict[str, list[float]] = {}

    async def answer(self, request: Request) -> Answer:
        if request.path.startswith("/balance"):
            now_s = time.monotonic()
            window = self.windows.setdefault(request.peer, [now_s, 0])
            if now_s - window[0] >= 1:
                self.windows[request.peer] = window = [now_s, 0]
            if window[1] >= AMOUNT:
                return Answer({"title": "too many"}, 429, (*JSON, *in_whole_seconds(window[0] + 1 - now_s)))
            await asyncio.sleep(0.005)
            window[1] += 1
        return await super().answer(request)


def _case(
    name: str,
    tries: str,
    script: Any,
    algorithm: str,
    *,
    right: tuple[str, ...] = (FAIL,),
    declared: dict[str, Any] | None = None,
    **changes: Any,
) -> Case:
    kind = "honest limiter" if PASS in right else "broken limiter"
    limit = {"amount": AMOUNT, "period": "1 s", "algorithm": algorithm} | (declared or {})
    return audited(kind, name, tries, script, limits(**changes), right=right, target_file=target(limits=limit))


_HAMMER = {"when_throttled": "ignore"}
_CROWD = {"clients": "shared", "mix": {"balance": {"share": "100 %", "every": "500 ms"}}}
_FIXED = "fixed-window"
_NOT_FAIL = (PASS, INCONCLUSIVE)

CASES = (
    _case("counts refusals", "who keeps asking is never let in", limited(CountsRefused), "moving-window", **_HAMMER),
    _case("races", "one too many if two ask at once", Racing, _FIXED, users=16, **_HAMMER, **_CROWD | {"mix": ASKING}),
    _case("aligned, called moving", "twice as many at the edge of a second", limited(Aligned), "moving-window"),
    _case("fixed, called bucket", "all tokens are back at once", limited(Fixed), "token-bucket"),
    _case("leaks", "one refusal in four is none", limited(Leaky), _FIXED, seconds=12),
    _case("favourites", "every fourth client has no limit", limited(Favourites), _FIXED),
    _case("strict", "one request fewer than declared", limited(Strict), _FIXED),
    _case("all together", "one limit for all, declared as each client's", limited(Together), _FIXED),
    _case("remembers four", "the fifth client makes it forget the first", limited(OfFour), _FIXED),
    _case("renews its window", "a window that never ends for who keeps asking", limited(Renewing), _FIXED, **_HAMMER),
    _case(
        "waits too short",
        "Retry-After is 1 where it takes three seconds",
        limited(Long, one),
        _FIXED,
        declared={"period": "3 s"},
        seconds=15,
    ),
    _case("waits too long", "Retry-After is 4 s too long", limited(Fixed, four_more), _FIXED, seconds=12),
    _case("waits for words", "Retry-After: soon", limited(Fixed, in_words), _FIXED),
    _case("a fixed window", "as declared", limited(Fixed), _FIXED, right=(PASS,), seconds=20),
    _case("a moving window", "as declared", limited(Moving), "moving-window", right=(PASS,), seconds=20),
    _case("a bucket", "as declared", limited(Bucket), "token-bucket", right=(PASS,), seconds=20),
    _case("dates", "Retry-After as a date", limited(Fixed, as_date), _FIXED, right=_NOT_FAIL),
    _case("slow to answer", "30 ms for each", limited(Moving, think_s=0.03), "moving-window", right=_NOT_FAIL),
    _case("in a crowd", "one client with eight users", limited(Fixed), _FIXED, right=_NOT_FAIL, **_CROWD),
)
