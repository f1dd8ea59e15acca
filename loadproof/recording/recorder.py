"""Turns ended requests into one report per second: interval cells, and the generator's own health."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple
from typing import TYPE_CHECKING, Final

from loadproof.outcome import ERRORS, SETUP, Outcome
from loadproof.recording.cells import cells_of
from loadproof.recording.clock import SYSTEM_CLOCK
from loadproof.recording.counting import Counting
from loadproof.recording.examples import AnyAnswer, Examples
from loadproof.recording.generatorrows import GeneratorRows
from loadproof.recording.journalrows import MOST_HELD, JournalRows
from loadproof.recording.reports import BurstSeen, SecondReport
from loadproof.recording.second import Second, tables_of
from loadproof.recording.usertime import UserTime
from loadproof.rundir.rows import (
    IntervalRow,
)
from loadproof.scenario.masking.masking import NOTHING_SECRET

if TYPE_CHECKING:
    from loadproof.http.messages import Request, Timing
    from loadproof.plan.pacing import Due
    from loadproof.plan.phases import PhaseSpan
    from loadproof.recording.clock import Clock
    from loadproof.recording.journalrows import EndedRequest
    from loadproof.recording.locuststats import LocustStatistics
    from loadproof.recording.second import Kind, Moments, Tables
    from loadproof.scenario.masking.masking import Masker

_PROBE_S: Final = 0.05
"""How often the event loop's delay is measured."""


class Recorder(Counting):
    """One per process that sends."""

    def __init__(
        self,
        spans: Sequence[PhaseSpan],
        *,
        deadline_s: float,
        group_deadlines_s: Mapping[str, float] | None = None,
        worker: str,
        clock: Clock = SYSTEM_CLOCK,
        mask: Masker = NOTHING_SECRET,
        journals: bool = False,
    ) -> None:
        """`mask` removes the target file's secrets from recorded texts.

        `journals`: senders also call `ended` for each request.
        """
        super().__init__(spans)
        self._phases = [span.name for span in spans]
        self._phase_ends_s = [span.end_s for span in spans]
        self._deadline_s = deadline_s
        self._group_deadlines_s = group_deadlines_s or {}
        self._worker = worker
        self._clock = clock
        self.start_s = clock.now_s()
        self._statistics: LocustStatistics | None = None
        self.journals = journals
        self._journal_rows = JournalRows(worker, spans, mask=mask, let_others_run=self._let_others_run)
        self._bursts: dict[int, BurstSeen] = {}
        self._closes: list[Callable[[], None]] = []
        self._of_plain_users = 0
        """Requests in flight that plain users' clients have sent."""
        self._generator_rows = GeneratorRows(worker, spans[-1].end_s, clock.vitals)
        self._examples = Examples(mask)
        self.user_time = UserTime(spans)

    @property
    def in_flight(self) -> int:
        return self._in_flight - self._of_plain_users

    def feed(self, statistics: LocustStatistics) -> None:
        """Feed these statistics from now on, while nothing else listens to Locust's request event."""
        self._statistics = statistics
        self._look_who_listens(statistics)

    def _look_who_listens(self, statistics: LocustStatistics) -> None:
        self.feeds_locust = statistics.are_alone
        self.only_counts = self.feeds_locust and not self.journals

    def started(self, burst: int | None = None) -> None:
        second = self._second
        second.sent += 1
        self._in_flight += 1
        if self._in_flight > second.peak_in_flight:
            second.peak_in_flight = self._in_flight
        if burst is not None:
            burst_seen = self._bursts.setdefault(burst, BurstSeen(burst))
            burst_seen.peak_in_flight = max(burst_seen.peak_in_flight, self._in_flight)

    def at_end(self, close: Callable[[], None]) -> None:
        """Call `close` before the last report, to end what has not ended by then."""
        self._closes.append(close)

    def waiting_begins(self) -> None:
        """A plain user's client has begun a request, which it reports only when it ends."""
        self._in_flight += 1
        self._of_plain_users += 1
        self._second.peak_in_flight = max(self._second.peak_in_flight, self._in_flight)

    def waiting_ends(self) -> None:
        self._in_flight -= 1
        self._of_plain_users -= 1

    def finished(self, endpoint: str, method: str, outcome: Outcome, due: Due, timing: Timing, body_bytes: int) -> None:
        self._in_flight -= 1
        rows = self._second.setup_rows if due.is_setup else self._second.rows
        # In the order of Moments: creating one would be an extra call per request.
        rows[endpoint, method, outcome].extend(
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
            # When it began: a connection that the target is slow to accept doesn't spread the burst.
            self._bursts[due.burst].saw(timing.began_s - self.start_s, late=due.late)

    def grouped(self, group: str, outcome: Outcome, due: Due, *, began_s: float, sent_s: float, ended_s: float) -> None:
        row = (due.at_s, began_s, sent_s, 0.0, 0.0, ended_s, 0.0)
        self._second.group_rows[group, "", outcome].extend(row)

    def ended(self, request: EndedRequest) -> None:
        second = self._second
        if len(second.journal) < MOST_HELD:
            second.journal.append(request)
        else:
            second.unjournalled += 1

    def failed(self, endpoint: str, request: Request, answer: AnyAnswer | None, error: BaseException) -> None:
        self._examples.see(endpoint, request, answer, error)

    def probe_event_loop(self) -> None:
        """Measure forever how late a short timer fires; runs in its own greenlet."""
        while True:
            asked_s = self._clock.now_s()
            self._clock.sleep(_PROBE_S)
            delay_s = self._clock.now_s() - asked_s - _PROBE_S
            self._second.loop_delay_s = max(self._second.loop_delay_s, delay_s)

    def second_ends_s(self, now_s: float) -> float:
        """When the current second is over: at the next full second, or at the plan's end."""
        return self._generator_rows.second_ends_s(now_s)

    def end_early(self, now_s: float) -> None:
        """The last second ends now, because users are about to be stopped."""
        self._generator_rows.end_early(now_s)

    def take(self, now_s: float, users: int, *, last: bool = False) -> SecondReport:
        """What was recorded since the last call; call it once a second, and a last time with the bursts."""
        while last and self._closes:
            self._closes.pop()()
        is_over = last or self._generator_rows.has_begun(now_s)
        if is_over:
            done, self._second = self._second, Second(peak_in_flight=self._in_flight)
        else:
            self._begin_first_second(now_s)
            done = Second()
        tables, setup = tables_of(done.rows, self.start_s), tables_of(done.setup_rows, self.start_s)
        self._tell_locust((*tables.items(), *setup.items()))
        planned = self._cells(tables, phases=self._phases, phase_ends_s=self._phase_ends_s)
        groups = tables_of(done.group_rows, self.start_s)
        grouped = self._cells(groups, phases=self._phases, phase_ends_s=self._phase_ends_s)
        outside = self._cells(setup, phases=[SETUP], phase_ends_s=[math.inf])
        unfinished = [IntervalRow(*key, count) for key, count in done.cells.items()]
        outcomes: Counter[Outcome] = Counter()
        for (_, _, outcome), moments in tables.items():
            outcomes[outcome] += moments.due_s.size
        return SecondReport(
            worker=self._worker,
            now_s=now_s,
            users=users,
            in_flight=self._in_flight,
            errors=sum(outcomes[outcome] for outcome in ERRORS),
            throttled=outcomes[Outcome.THROTTLED],
            cells=[*unfinished, *planned, *grouped, *outside, *(self.user_time.take(now_s) if is_over else [])],
            generator=self._generator_rows.row(done, tables, now_s, users, last=last) if is_over else None,
            bursts=[astuple(burst) for burst in self._bursts.values() if burst.sent] if last else [],
            failures=self._examples.take(),
            journal=self._journal_rows.member(done.journal, self.start_s),
            unjournalled=done.unjournalled,
        )

    def _begin_first_second(self, now_s: float) -> None:
        """Ignore delays from creating the users; requests sent so far stay in the first second."""
        if now_s < 0.5:
            self._second.loop_delay_s = 0.0
            self._generator_rows.begin(now_s)

    def _cells(self, tables: Tables, *, phases: Sequence[str], phase_ends_s: Sequence[float]) -> list[IntervalRow]:
        rows: list[IntervalRow] = []
        for (endpoint, _, outcome), moments in tables.items():
            cells = cells_of(
                moments,
                phases=phases,
                phase_ends_s=phase_ends_s,
                deadline_s=self._deadline_of(endpoint) if outcome is Outcome.OK else None,
            )
            rows += [
                IntervalRow(second, phase, endpoint, outcome, series, bucket, count)
                for second, phase, series, bucket, count in cells
            ]
            self._let_others_run()
        return rows

    def _deadline_of(self, name: str) -> float:
        return self._group_deadlines_s.get(name, self._deadline_s)

    def _tell_locust(self, tables: Iterable[tuple[Kind, Moments]]) -> None:
        if self._statistics is None:
            return
        now_s = self._clock.now_s() - self.start_s
        for (endpoint, method, outcome), moments in tables:
            if self.feeds_locust and outcome is Outcome.OK:
                self._statistics.add(
                    endpoint,
                    method,
                    response_s=moments.ended_s - moments.began_s,
                    ended_ago_s=now_s - moments.ended_s,
                    length=int(moments.body_bytes.sum()),
                )
                self._let_others_run()
        self._look_who_listens(self._statistics)

    def _let_others_run(self) -> None:
        """Processing a second without a break would delay arrivals by milliseconds."""
        self._clock.sleep(0)
