"""Requests as they end to interval histograms, the generator's health and events in the run directory."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import gevent
import psutil

from loadproof import rundir, variables
from loadproof.histogram import bucket_of
from loadproof.outcome import DROPPED, ERRORS, Outcome
from loadproof.plan import Due, phase_at
from loadproof.rundir import EventRow, GeneratorRow, IntervalRow

if TYPE_CHECKING:
    from pathlib import Path

    from loadproof.rundir import Manifest

_PROBE_S: Final = 0.05
"""How often the event loop is asked how late it is."""


@dataclass
class _Burst:
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
    response_s: list[float] = field(default_factory=list)


class Recorder:
    """One a process. All times are seconds from the run's start.

    Every request that was sent ends in exactly one of `finished` and `abandoned`.
    """

    def __init__(self, run: Path, manifest: Manifest, *, worker: str = "local") -> None:
        self.path = run
        self._spans = manifest.phases
        self._deadline_s = manifest.scenario.deadline
        self._worker = worker
        self._cells: Counter[tuple[int, str, str, str, str, int]] = Counter()
        self._second = _Second()
        self._bursts: dict[int, _Burst] = {}
        self._in_flight = 0
        self._phase = ""
        self._process = psutil.Process()
        self._cpu = _CpuClock(self._process)
        self._progress_fd = os.environ.get(variables.PROGRESS_FD)

    @property
    def in_flight(self) -> int:
        return self._in_flight

    def started(self, burst: int | None = None) -> None:
        """A request is on its way."""
        self._in_flight += 1
        self._second.sent += 1
        self._second.peak_in_flight = max(self._second.peak_in_flight, self._in_flight)
        if burst is not None:
            seen = self._bursts.setdefault(burst, _Burst())
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
        self._second.response_s.append(response_s)
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

    def event(self, time_s: float, kind: str, detail: str = "") -> None:
        rundir.append_rows(self.path / rundir.EVENTS, [EventRow(time_s, kind, detail)])

    def probe_event_loop(self) -> None:
        """Watch for ever how late a short timer fires; runs in a greenlet of its own."""
        while True:
            asked_s = time.monotonic()
            gevent.sleep(_PROBE_S)
            delay_s = time.monotonic() - asked_s - _PROBE_S
            self._second.loop_delay_s = max(self._second.loop_delay_s, delay_s)

    def flush(self, now_s: float, users: int) -> None:
        """Once a second: append what came since the last time; OSError when the disk is full."""
        done, self._second = self._second, _Second(peak_in_flight=self._in_flight)
        cells, self._cells = self._cells, Counter()
        if cells:
            rows = (IntervalRow(*key, count) for key, count in cells.items())
            rundir.append_intervals(self.path / rundir.INTERVALS, rows)
        second = round(now_s) - 1
        if second >= 0:
            row = self._generator_row(done, second, users)
            rundir.append_rows(self.path / rundir.GENERATOR, [row])
        self._follow_phase(now_s)
        self._report_progress(done, now_s, users)

    def close(self, now_s: float, users: int) -> None:
        """The last flush, with the bursts that were seen."""
        self.flush(now_s, users)
        for number, burst in sorted(self._bursts.items()):
            detail = {
                "burst": number,
                "sent": burst.sent,
                "spread_s": round(burst.last_s - burst.first_s, 6),
                "peak_in_flight": burst.peak_in_flight,
                "late": burst.late,
            }
            if burst.sent:
                self.event(burst.first_s, "burst", json.dumps(detail))

    def announce(self, **line: object) -> None:
        """Tell who started this process, if somebody watches."""
        if self._progress_fd is None:
            return
        try:
            os.write(int(self._progress_fd), (json.dumps(line) + "\n").encode())
        except OSError:
            # Nobody watches any more; the files are what counts.
            self._progress_fd = None

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

    def _follow_phase(self, now_s: float) -> None:
        phase = phase_at(self._spans, now_s).name
        if now_s >= 0 and phase != self._phase:
            self._phase = phase
            self.event(now_s, "phase", phase)

    def _report_progress(self, done: _Second, now_s: float, users: int) -> None:
        self.announce(
            now_s=now_s,
            phase=self._phase,
            users=users,
            sent=done.sent,
            p95_s=_quantile(done.response_s, 0.95),
            errors=sum(done.outcomes[outcome] for outcome in ERRORS),
            throttled=done.outcomes[Outcome.THROTTLED],
            dropped=done.dropped,
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

    def announce(self, **line: object) -> None:
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
