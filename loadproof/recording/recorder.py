"""Requests as they end to one report a second: interval cells and the generator's own health."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from loadproof.outcome import DROPPED, ERRORS, Outcome
from loadproof.plan.phases import phase_at
from loadproof.recording.cells import COLUMNS, cells_of
from loadproof.recording.clock import SYSTEM_CLOCK
from loadproof.recording.examples import Examples
from loadproof.recording.reports import BurstSeen, SecondReport
from loadproof.recording.vitals import VitalsClock
from loadproof.rundir.rows import REPEATED, GeneratorRow

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from loadproof.http.answers import Answer
    from loadproof.http.messages import Request, Timing
    from loadproof.plan.pacing import Due
    from loadproof.plan.phases import PhaseSpan
    from loadproof.recording.clock import Clock
    from loadproof.recording.locuststats import LocustStatistics

    _Tables = dict[tuple[str, str, Outcome], NDArray[np.float64]]

_PROBE_S: Final = 0.05
"""How often the event loop is asked how late it is."""
_DUE, _BEGAN, _SENT, _, _, _ENDED, _BODY = range(len(COLUMNS))


@dataclass
class _Second:
    """What the generator did in the second that is running."""

    loop_delay_s: float = 0.0
    peak_in_flight: int = 0
    sent: int = 0
    dropped: int = 0
    abandoned: int = 0
    rows: defaultdict[tuple[str, str, Outcome], array[float]] = field(
        default_factory=lambda: defaultdict(lambda: array("d"))
    )
    """Of finished requests by endpoint, method and outcome: COLUMNS after COLUMNS."""
    cells: Counter[tuple[int, str, str, str, str, int]] = field(default_factory=Counter)
    """Of the few that did not finish."""


class Recorder:
    """One a process that sends. Every request that was sent ends in exactly one of `finished` and `abandoned`."""

    def __init__(
        self,
        spans: Sequence[PhaseSpan],
        *,
        deadline_s: float,
        worker: str,
        clock: Clock = SYSTEM_CLOCK,
        hide: Callable[[str], str] = str,
    ) -> None:
        """`hide` takes out of an answer's text what the target file keeps secret."""
        self._spans = spans
        self._phases = [span.name for span in spans]
        self._phase_ends_s = [span.end_s for span in spans]
        self._deadline_s = deadline_s
        self._worker = worker
        self._clock = clock
        self.start_s = clock.now_s()
        """Second 0 of the run, monotonic."""
        self._statistics: LocustStatistics | None = None
        self.feeds_locust = False
        """Locust's statistics have the requests that succeed from here, and need no event for each."""
        self._second = _Second()
        self._bursts: dict[int, BurstSeen] = {}
        self._in_flight = 0
        self._vitals = VitalsClock(clock.vitals)
        self._examples = Examples(hide)

    @property
    def in_flight(self) -> int:
        return self._in_flight

    def feed(self, statistics: LocustStatistics) -> None:
        """From now on, as long as nothing but these statistics listens to Locust's request event."""
        self._statistics = statistics
        self.feeds_locust = statistics.are_alone

    def started(self, burst: int | None = None) -> None:
        """A request is on its way."""
        second = self._second
        second.sent += 1
        self._in_flight += 1
        second.peak_in_flight = max(second.peak_in_flight, self._in_flight)
        if burst is not None:
            seen = self._bursts.setdefault(burst, BurstSeen(burst))
            seen.peak_in_flight = max(seen.peak_in_flight, self._in_flight)

    def finished(self, endpoint: str, method: str, outcome: Outcome, due: Due, timing: Timing, body_bytes: int) -> None:
        """The request's last byte came, or it failed. `due` is in seconds from the run's start."""
        self._in_flight -= 1
        self._second.rows[endpoint, method, outcome].extend(
            (
                due.at_s,
                timing.began_s,
                timing.sent_s,
                timing.connect_s,
                timing.first_byte_s,
                timing.ended_s,
                body_bytes,
            )
        )
        if due.burst is not None:
            self._bursts[due.burst].saw(timing.sent_s - self.start_s, late=due.late)

    def failed(self, endpoint: str, request: Request, answer: Answer | None, error: Exception) -> None:
        """Beside `finished`: what an example of its kind is made of."""
        self._examples.see(endpoint, request, answer, error)

    def abandoned(self, endpoint: str, *, intended_s: float) -> None:
        """Our own stop cut the request off."""
        self._in_flight -= 1
        self._second.abandoned += 1
        self._second.cells[*self._place(intended_s), endpoint, "", "abandoned", 0] += 1

    def dropped(self, endpoint: str, *, intended_s: float) -> None:
        """An arrival found no free user and was never sent."""
        self._second.dropped += 1
        self._second.cells[*self._place(intended_s), endpoint, DROPPED, "dropped", 0] += 1

    def repeated(self, endpoint: str, outcome: Outcome, *, intended_s: float) -> None:
        """It was sent a second time, and ended so."""
        self._second.cells[*self._place(intended_s), endpoint, outcome, REPEATED, 0] += 1

    def retry_after(self, endpoint: str, *, intended_s: float, became: str) -> None:
        """What became of a refusal's Retry-After: one of rundir's three counters."""
        self._second.cells[*self._place(intended_s), endpoint, Outcome.THROTTLED, became, 0] += 1

    def _place(self, intended_s: float) -> tuple[int, str]:
        return max(0, int(intended_s)), phase_at(self._spans, intended_s).name

    def probe_event_loop(self) -> None:
        """Watch for ever how late a short timer fires; runs in a greenlet of its own."""
        while True:
            asked_s = self._clock.now_s()
            self._clock.sleep(_PROBE_S)
            delay_s = self._clock.now_s() - asked_s - _PROBE_S
            self._second.loop_delay_s = max(self._second.loop_delay_s, delay_s)

    def take(self, now_s: float, users: int, *, last: bool = False) -> SecondReport:
        """What came since the last time; once a second, and once more in the end with the bursts."""
        second = round(now_s) - 1
        if second < 0:
            # The making of users is no delay; what was sent in the first moments is the first second's.
            self._second.loop_delay_s = 0.0
            done = _Second()
        else:
            done, self._second = self._second, _Second(peak_in_flight=self._in_flight)
        tables = {key: self._table(rows) for key, rows in done.rows.items()}
        self._tell_locust(tables)
        outcomes: Counter[Outcome] = Counter()
        for (_, _, outcome), rows in tables.items():
            outcomes[outcome] += len(rows)
        return SecondReport(
            worker=self._worker,
            now_s=now_s,
            users=users,
            in_flight=self._in_flight,
            errors=sum(outcomes[outcome] for outcome in ERRORS),
            throttled=outcomes[Outcome.THROTTLED],
            cells=[(*key, count) for key, count in done.cells.items()] + self._cells(tables),
            generator=self._generator_row(done, tables, second, users) if second >= 0 else None,
            bursts=[astuple(burst) for burst in self._bursts.values() if burst.sent] if last else [],
            failures=self._examples.take(),
        )

    def _table(self, rows: array[float]) -> NDArray[np.float64]:
        """Shape (n, len(COLUMNS)), with all moments from the run's start."""
        table = np.frombuffer(rows).reshape(-1, len(COLUMNS)).copy()
        table[:, [_BEGAN, _SENT, _ENDED]] -= self.start_s
        return table

    def _cells(self, tables: _Tables) -> list[Sequence[Any]]:
        cells: list[Sequence[Any]] = []
        for (endpoint, _, outcome), rows in tables.items():
            found = cells_of(
                rows,
                phases=self._phases,
                phase_ends_s=self._phase_ends_s,
                deadline_s=self._deadline_s if outcome is Outcome.OK else None,
            )
            cells += [
                (second, phase, endpoint, outcome, series, bucket, count)
                for second, phase, series, bucket, count in found
            ]
            self._let_others_run()
        return cells

    def _tell_locust(self, tables: _Tables) -> None:
        if self._statistics is None:
            return
        now_s = self._clock.now_s() - self.start_s
        for (endpoint, method, outcome), rows in tables.items():
            if self.feeds_locust and outcome is Outcome.OK:
                self._statistics.add(
                    endpoint,
                    method,
                    response_s=rows[:, _ENDED] - rows[:, _BEGAN],
                    ended_ago_s=now_s - rows[:, _ENDED],
                    length=int(rows[:, _BODY].sum()),
                )
                self._let_others_run()
        self.feeds_locust = self._statistics.are_alone

    def _let_others_run(self) -> None:
        """A second's work in one piece would make arrivals late by milliseconds."""
        self._clock.sleep(0)

    def _generator_row(self, done: _Second, tables: _Tables, second: int, users: int) -> GeneratorRow:
        vitals = self._vitals.since_last()
        lags_s = [rows[:, _BEGAN] - rows[:, _DUE] for rows in tables.values()]
        return GeneratorRow(
            second=second,
            worker=self._worker,
            cpu_ratio=vitals.cpu_ratio,
            wait_ratio=vitals.wait_ratio,
            steal_ratio=vitals.steal_ratio,
            loop_delay_s=done.loop_delay_s,
            lag_p99_s=_quantile(np.concatenate(lags_s), 0.99) if lags_s else 0.0,
            users=users,
            in_flight=done.peak_in_flight,
            sent=done.sent,
            dropped=done.dropped,
            abandoned=done.abandoned,
            clock_step_s=vitals.clock_step_s,
            asleep_s=vitals.asleep_s,
        )


class NoRecorder:
    """Stands in for Recorder where no run directory is kept: plain `locust -f locustfiles`."""

    in_flight = 0
    feeds_locust = False
    start_s = 0.0

    def started(self, burst: int | None = None) -> None:
        pass

    def finished(self, endpoint: str, method: str, outcome: Outcome, due: Due, timing: Timing, body_bytes: int) -> None:
        pass

    def failed(self, endpoint: str, request: Request, answer: Answer | None, error: Exception) -> None:
        pass

    def abandoned(self, endpoint: str, *, intended_s: float) -> None:
        pass

    def dropped(self, endpoint: str, *, intended_s: float) -> None:
        pass

    def repeated(self, endpoint: str, outcome: Outcome, *, intended_s: float) -> None:
        pass

    def retry_after(self, endpoint: str, *, intended_s: float, became: str) -> None:
        pass


def _quantile(values: NDArray[np.float64], quantile: float) -> float:
    """The smallest value that at least this part of them doesn't exceed."""
    rank = min(values.size - 1, int(quantile * values.size))
    return float(np.partition(values, rank)[rank])
