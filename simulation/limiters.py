"""Rate limiters on a fake clock, correct ones and ones with a fault, and the journals of clients that use them.

Nothing here is shared with the reference API or with the audit: each limiter is a few textbook lines.
"""

from __future__ import annotations

import heapq
import json
import math
import random
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import pandas as pd

RowText = Callable[[float, float], str]
"""Takes the seconds to wait and the time in the run, and returns the text of Retry-After."""


class Limiter(Protocol):
    """Gets each request, in the order of its clock; returns the seconds to wait, 0 if the request is admitted."""

    def take(self, client: str, now: float) -> float: ...


@dataclass
class FixedWindow:
    """A client's first request starts a window."""

    n: int
    period: float
    extends: bool = False
    """The fault: every hit restarts the window, like INCR with an EXPIRE each time."""
    windows: dict[str, list[float]] = field(default_factory=dict)

    def take(self, client: str, now: float) -> float:
        window = self.windows.get(client)
        if window is None or now >= window[0]:
            window = self.windows[client] = [now + self.period, 0]
        window[1] += 1
        if self.extends:
            window[0] = now + self.period
        return 0.0 if window[1] <= self.n else window[0] - now


@dataclass
class AlignedWindow:
    """Windows at multiples of the period, shifted by `phase`."""

    n: int
    period: float
    phase: float = 0.0
    counts: defaultdict[tuple[str, int], int] = field(default_factory=lambda: defaultdict(int))

    def take(self, client: str, now: float) -> float:
        number = math.floor((now - self.phase) / self.period)
        self.counts[client, number] += 1
        return 0.0 if self.counts[client, number] <= self.n else (number + 1) * self.period + self.phase - now


@dataclass
class MovingLog:
    """Keeps the times of requests admitted in the last period."""

    n: int
    period: float
    late: float = 0.0
    """The fault, a race between reading and writing: a counted request isn't seen for this long."""
    most_clients: int = 10**9
    """The fault: each client beyond this many makes it forget the client that came first."""
    logs: dict[str, deque[float]] = field(default_factory=dict)

    def take(self, client: str, now: float) -> float:
        if client not in self.logs and len(self.logs) >= self.most_clients:
            del self.logs[next(iter(self.logs))]
        log = self.logs.setdefault(client, deque())
        while log and log[0] <= now - self.period:
            log.popleft()
        if sum(moment <= now - self.late for moment in log) >= self.n:
            return log[-self.n] + self.period - now
        log.append(now)
        return 0.0


@dataclass
class SlidingCounter:
    """This window's count plus the previous one's, weighted by how much of it the last period overlaps."""

    n: int
    period: float
    floors: bool = False
    phase: float = 0.0
    counts: defaultdict[tuple[str, int], int] = field(default_factory=lambda: defaultdict(int))

    def take(self, client: str, now: float) -> float:
        if self._has_room(client, now):
            self.counts[client, self._number(now)] += 1
            return 0.0
        low, high = 0.0, 2 * self.period
        while high - low > 1e-6:
            middle = (low + high) / 2
            low, high = (low, middle) if self._has_room(client, now + middle) else (middle, high)
        return high

    def _number(self, now: float) -> int:
        return math.floor((now - self.phase) / self.period)

    def _has_room(self, client: str, now: float) -> bool:
        number = self._number(now)
        weighted = self.counts[client, number - 1] * (number + 1 - (now - self.phase) / self.period)
        return self.counts[client, number] + (math.floor(weighted) if self.floors else weighted) + 1 <= self.n + 1e-9


@dataclass
class TokenBucket:
    """Refills continuously."""

    n: int
    period: float
    size: int
    tokens: dict[str, tuple[float, float]] = field(default_factory=dict)

    def take(self, client: str, now: float) -> float:
        rate = self.n / self.period
        left, at = self.tokens.get(client, (float(self.size), now))
        left = min(self.size, left + (now - at) * rate)
        is_admitted = left >= 1 - 1e-9
        self.tokens[client] = (left - is_admitted, now)
        return 0.0 if is_admitted else (1 - left) / rate


@dataclass
class Gcra:
    """Keeps the theoretical arrival time of the next request, which may be `size` requests ahead of now."""

    n: int
    period: float
    size: int
    due: dict[str, float] = field(default_factory=dict)

    def take(self, client: str, now: float) -> float:
        each = self.period / self.n
        due = max(self.due.get(client, now), now)
        wait = due - now - (self.size - 1) * each
        if wait > 1e-9:
            return wait
        self.due[client] = due + each
        return 0.0


@dataclass
class OneForAll:
    """The fault: all clients share one count."""

    inner: Limiter

    def take(self, client: str, now: float) -> float:
        del client
        return self.inner.take("everybody", now)


@dataclass
class Punishing:
    """Each violation costs more, up to the cap, on top of the limit's wait; quiet periods forgive violations."""

    inner: Limiter
    base: float
    factor: float
    cap: float
    memory: float
    grows: bool = True
    forgets: bool = True
    records: dict[str, tuple[int, float]] = field(default_factory=dict)

    def take(self, client: str, now: float) -> float:
        strikes, until = self.records.get(client, (0, now))
        if until > now:
            return until - now
        wait = self.inner.take(client, now)
        if wait <= 0:
            return 0.0
        quiet = int((now - until) // self.memory) if self.forgets else 0
        strikes = max(0, strikes - quiet) + 1
        while strikes > 1 and self.base * self.factor ** (strikes - 2) >= self.cap:
            strikes -= 1
        penalty = min(self.cap, self.base * self.factor ** (strikes - 1)) if self.grows else self.base
        self.records[client] = (strikes, now + wait + penalty)
        return wait + penalty


def ceiled(wait: float, _now: float) -> str:
    return str(max(1, math.ceil(wait - 1e-9)))


@dataclass
class Traffic:
    """Traffic of clients that flood, burst, trickle or wait as Retry-After says."""

    clients: int = 4
    seconds: float = 20.0
    rate: float = 5.0
    """Requests per second of a client that doesn't wait."""
    burst: int = 12
    delay: float = 0.003
    """Mean network delay in seconds, in each direction; one in 50 is 30 times as long."""
    uncounted: float = 0.0
    """The fault: the share of requests (0–1) that are HEAD, which the target doesn't count."""


def journal_of(
    limiter: Limiter,
    traffic: Traffic,
    seed: int,
    *,
    request: str = "health",
    retry_after: RowText = ceiled,
    note: Callable[[], dict[str, Any]] = dict,
) -> pd.DataFrame:
    """The journal that loadproof would have written of this traffic: a row per request, times in µs.

    `note` returns what to note of the request that the limiter got last.
    """
    chance = random.Random(seed)
    queue: list[tuple[float, int, str, str, float, bool]] = []
    rows: list[dict[str, Any]] = []

    def delay() -> float:
        return chance.expovariate(1 / traffic.delay) * (30 if chance.random() < 0.02 else 1)

    def send(client: str, at: float, *, waits: bool) -> None:
        heapq.heappush(queue, (at + delay(), len(rows) + len(queue), client, "", at, waits))

    for number in range(traffic.clients):
        client = f"127.0.1.{number + 1}"
        kind = chance.choice(["flood", "bursts", "waits", "trickle"])
        at = chance.uniform(0, 2)
        while kind != "waits" and at < traffic.seconds:
            for _ in range(chance.randint(1, traffic.burst) if kind == "bursts" else 1):
                send(client, at + chance.uniform(0, 0.002), waits=False)
            pace = {"flood": 1, "bursts": 0.15, "trickle": 0.3}[kind] * traffic.rate
            at += chance.expovariate(pace)
        if kind == "waits":
            for _ in range(chance.randint(1, 3)):
                send(client, at, waits=True)
    serial = 0
    while queue:
        now, _, client, _, sent, waits = heapq.heappop(queue)
        serial += 1
        wait = 0.0 if chance.random() < traffic.uncounted else limiter.take(client, now)
        ended = now + delay()
        text = retry_after(wait, now) if wait > 0 else ""
        rows.append(row(client, sent, ended, 429 if wait > 0 else 200, text, request=request, **note()))
        if waits and ended < traffic.seconds:
            told = float(text) if text.replace(".", "").isdecimal() else 1.0
            send(client, ended + (told + 0.001 if wait > 0 else chance.uniform(0, 0.05)), waits=True)
    return frame(rows)


def row(
    client: str, sent: float, ended: float, status: int, retry_after: str = "", *, request: str = "health", **noted: Any
) -> dict[str, Any]:
    """A row of the journal; times in seconds."""
    return {
        "worker": "1",
        "client": client,
        "request": request,
        "phase": "steady",
        "intended_us": round(sent * 1e6),
        "sent_us": round(sent * 1e6),
        "ended_us": round(ended * 1e6),
        "status": status,
        "outcome": "throttled" if status == 429 else "ok",
        "retry_after": retry_after,
        "repeated": 0,
        "noted": json.dumps(noted, separators=(",", ":")) if noted else "",
        "doubt_us": 0,
    }


def frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(row("", 0, 0, 0)))
