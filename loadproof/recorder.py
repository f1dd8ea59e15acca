"""Requests as they end to one report a second: interval cells and the generator's own health."""

from __future__ import annotations

import math
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import astuple, dataclass, field
from typing import TYPE_CHECKING, Any, Final

import gevent
import psutil

from loadproof.histogram import bucket_of
from loadproof.outcome import DROPPED, ERRORS, Outcome
from loadproof.plan import Due, phase_at
from loadproof.rundir import GeneratorRow

if TYPE_CHECKING:
    from loadproof.rundir import PhaseSpan

_PROBE_S: Final = 0.05
"""How often the event loop is asked how late it is."""


@dataclass
class _Second:
    """What the generator did in the second that is running."""

    lags_s: list[float] = field(default_factory=list)
    loop_delay_s: float = 0.0
    peak_in_flight: int = 0
    sent: int = 0
    dropped: int = 0
    abandoned: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)


@dataclass
class SecondReport:
    """What one worker measured since its last report: lists and numbers only, to pass between machines."""

    worker: str
    now_s: float
    users: int
    in_flight: int
    errors: int
    throttled: int
    cells: list[Sequence[Any]]
    """Rows of `IntervalRow`."""
    generator: Sequence[Any] | None
    """A row of `GeneratorRow`; None before second 0 is over."""
    bursts: list[Sequence[Any]]
    """Fields of `BurstSeen`, of the bursts so far; only in the last report."""


@dataclass
class BurstSeen:
    """One burst as its senders saw it; of several workers, merged."""

    burst: int
    first_s: float = math.inf
    last_s: float = -math.inf
    sent: int = 0
    late: int = 0
    peak_in_flight: int = 0

    def saw(self, sent_s: float, *, late: bool) -> None:
        self.first_s = min(self.first_s, sent_s)
        self.last_s = max(self.last_s, sent_s)
        self.sent += 1
        self.late += late

    def merge(self, other: BurstSeen) -> None:
        """Workers peak at nearly the same time, so that their sum bounds the common peak from above."""
        self.first_s = min(self.first_s, other.first_s)
        self.last_s = max(self.last_s, other.last_s)
        self.sent += other.sent
        self.late += other.late
        self.peak_in_flight += other.peak_in_flight


class Recorder:
    """One a process that sends. All times are seconds from the run's start.

    Every request that was sent ends in exactly one of `finished` and `abandoned`.
    """

    def __init__(self, spans: Sequence[PhaseSpan], *, deadline_s: float, worker: str) -> None:
        self._spans = spans
        self._deadline_s = deadline_s
        self._worker = worker
        self._cells: Counter[tuple[int, str, str, str, str, int]] = Counter()
        self._second = _Second()
        self._bursts: dict[int, BurstSeen] = {}
        self._in_flight = 0
        self._cpu = _CpuClock(psutil.Process())

    @property
    def in_flight(self) -> int:
        return self._in_flight

    def started(self, burst: int | None = None) -> None:
        """A request is on its way."""
        self._in_flight += 1
        self._second.sent += 1
        self._second.peak_in_flight = max(self._second.peak_in_flight, self._in_flight)
        if burst is not None:
            seen = self._bursts.setdefault(burst, BurstSeen(burst))
            seen.peak_in_flight = max(seen.peak_in_flight, self._in_flight)

    def finished(self, endpoint: str, outcome: Outcome, *, due: Due, sent_s: float, ended_s: float) -> None:
        """The request's last byte came, or it failed."""
        self._in_flight -= 1
        second, phase = self._place(due.at_s)
        response_s, lag_s = ended_s - due.at_s, sent_s - due.at_s
        cells = self._cells
        for series, value_s in (("response", response_s), ("service", ended_s - sent_s), ("lag", lag_s)):
            cells[second, phase, endpoint, outcome, series, bucket_of(round(value_s * 1e6))] += 1
        if outcome is Outcome.OK and response_s <= self._deadline_s:
            cells[second, phase, endpoint, outcome, "good", 0] += 1
        cells[max(0, int(ended_s)), phase, endpoint, outcome, "completed", 0] += 1
        self._second.outcomes[outcome] += 1
        self._second.lags_s.append(lag_s)
        if due.burst is not None:
            self._bursts[due.burst].saw(sent_s, late=due.late)

    def abandoned(self, endpoint: str, *, intended_s: float) -> None:
        """Our own stop cut the request off."""
        self._in_flight -= 1
        self._second.abandoned += 1
        self._cells[*self._place(intended_s), endpoint, "", "abandoned", 0] += 1

    def dropped(self, endpoint: str, *, intended_s: float) -> None:
        """An arrival found no free user and was never sent."""
        self._second.dropped += 1
        self._cells[*self._place(intended_s), endpoint, DROPPED, "dropped", 0] += 1

    def _place(self, intended_s: float) -> tuple[int, str]:
        return max(0, int(intended_s)), phase_at(self._spans, intended_s).name

    def probe_event_loop(self) -> None:
        """Watch for ever how late a short timer fires; runs in a greenlet of its own."""
        while True:
            asked_s = time.monotonic()
            gevent.sleep(_PROBE_S)
            delay_s = time.monotonic() - asked_s - _PROBE_S
            self._second.loop_delay_s = max(self._second.loop_delay_s, delay_s)

    def take(self, now_s: float, users: int, *, last: bool = False) -> SecondReport:
        """What came since the last time; once a second, and once more in the end with the bursts."""
        done, self._second = self._second, _Second(peak_in_flight=self._in_flight)
        cells, self._cells = self._cells, Counter()
        second = round(now_s) - 1
        return SecondReport(
            worker=self._worker,
            now_s=now_s,
            users=users,
            in_flight=self._in_flight,
            errors=sum(done.outcomes[outcome] for outcome in ERRORS),
            throttled=done.outcomes[Outcome.THROTTLED],
            cells=[(*key, count) for key, count in cells.items()],
            generator=self._generator_row(done, second, users) if second >= 0 else None,
            bursts=[astuple(burst) for burst in self._bursts.values() if burst.sent] if last else [],
        )

    def _generator_row(self, done: _Second, second: int, users: int) -> GeneratorRow:
        cpu_ratio, steal_ratio = self._cpu.since_last()
        return GeneratorRow(
            second=second,
            worker=self._worker,
            cpu_ratio=cpu_ratio,
            steal_ratio=steal_ratio,
            loop_delay_s=done.loop_delay_s,
            lag_p99_s=_quantile(done.lags_s, 0.99),
            users=users,
            in_flight=done.peak_in_flight,
            sent=done.sent,
            dropped=done.dropped,
            abandoned=done.abandoned,
        )


class NoRecorder:
    """Stands in for Recorder where no run directory is kept: plain `locust -f locustfiles`."""

    in_flight = 0

    def started(self, burst: int | None = None) -> None:
        pass

    def finished(self, endpoint: str, outcome: Outcome, *, due: Due, sent_s: float, ended_s: float) -> None:
        pass

    def abandoned(self, endpoint: str, *, intended_s: float) -> None:
        pass

    def dropped(self, endpoint: str, *, intended_s: float) -> None:
        pass


class _CpuClock:
    """CPU time of this process, and stolen time of the machine, as ratios of one core since the last look."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process
        self._last = self._now()

    def since_last(self) -> tuple[float, float]:
        now = self._now()
        wall_s = max(now[0] - self._last[0], 1e-9)
        cpu_s, steal_s = now[1] - self._last[1], now[2] - self._last[2]
        self._last = now
        return cpu_s / wall_s, max(0.0, steal_s) / wall_s / (os.cpu_count() or 1)

    def _now(self) -> tuple[float, float, float]:
        own = self._process.cpu_times()
        steal_s = psutil.cpu_times().steal if sys.platform == "linux" else 0.0
        return time.monotonic(), own.user + own.system, steal_s


def _quantile(values: list[float], quantile: float) -> float:
    """The smallest value that at least this part of them doesn't exceed; 0 of none."""
    if not values:
        return 0.0
    return sorted(values)[min(len(values) - 1, int(quantile * len(values)))]
