"""The open model's engine: every arrival is sent on time or dropped, and none is forgotten."""

from __future__ import annotations

import gevent
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadproof.generator.dispatch.alarm import SYSTEM_ALARM_CLOCK
from loadproof.generator.dispatch.executor import Arrival, Executor
from simulation.clock import FakeTime

START_S = 7.5


class Log:
    """Records when an executor's arrivals began, ended or were dropped."""

    def __init__(self, answer_s: float = 0.0, *, seed: int | None = None) -> None:
        self.time = FakeTime(seed)
        self.clock = self.time.clock(up_s=1000.0)
        self.answer_s = answer_s
        self.began: list[tuple[Arrival, float]] = []
        self.ended: list[Arrival] = []
        self.dropped: list[Arrival] = []
        self.busy = self.peak = 0

    def perform(self, arrival: Arrival) -> None:
        self.began.append((arrival, self.time.now_s - START_S))
        self.busy += 1
        self.peak = max(self.peak, self.busy)
        try:
            if self.answer_s:
                self.clock.sleep(self.answer_s)
            self.ended.append(arrival)
        finally:
            self.busy -= 1

    def executor(self, times_s: list[float], most_busy: int = 100) -> Executor:
        arrivals = (Arrival(at_s, 0, number) for number, at_s in enumerate(times_s))
        return Executor(arrivals, most_busy=most_busy, perform=self.perform, drop=self.dropped.append, clock=self.clock)

    def start(self, executor: Executor) -> gevent.Greenlet:
        return gevent.spawn(executor.run, 1000.0 + START_S)

    def run(self, executor: Executor) -> float:
        """Run the executor; returns when it ended, in seconds from its second 0."""
        running = self.start(executor)
        self.time.advance_until(running.ready, within_s=10_000)
        running.get()
        return self.time.now_s - START_S


@pytest.mark.slow
@settings(max_examples=4 * settings().max_examples)
@given(
    st.lists(st.floats(0, 3600), max_size=60),
    st.integers(1, 40),
    st.sampled_from([0.0, 0.001, 60.0, 600.0]),
    st.integers(0, 1000),
)
def test_every_arrival_is_sent_and_answered_or_dropped(times_s, most_busy, answer_s, seed):
    """In order, on time, by at most the allowed number of users at once."""
    log = Log(answer_s, seed=seed)
    over_s = log.run(log.executor(sorted(times_s), most_busy))
    assert sorted([*log.ended, *log.dropped]) == [Arrival(at_s, 0, n) for n, at_s in enumerate(sorted(times_s))]
    assert [arrival for arrival, _ in log.began] == sorted(arrival for arrival, _ in log.began)
    assert all(-1e-9 <= at_s - arrival.time_s < 1e-6 for arrival, at_s in log.began)
    assert log.peak <= most_busy
    assert log.busy == 0
    last_s = max((arrival.time_s for arrival in log.ended), default=0.0)
    assert over_s == pytest.approx(max([last_s + answer_s, *times_s] if log.ended else [0.0]), abs=1e-6)


@given(
    st.lists(st.floats(0, 100), min_size=1, max_size=60),
    st.integers(1, 5),
    st.floats(0.5, 50),
)
def test_only_arrivals_that_find_all_allowed_users_busy_are_dropped(times_s, most_busy, answer_s):
    """As in a queue with that many servers and no waiting room (M/G/c/c)."""
    log = Log(answer_s)
    log.run(log.executor(sorted(times_s), most_busy))
    began: list[float] = []
    for arrival in (Arrival(at_s, 0, number) for number, at_s in enumerate(sorted(times_s))):
        busy = [at_s for at_s in began if at_s + answer_s > arrival.time_s + 1e-6]
        edge = any(abs(at_s + answer_s - arrival.time_s) <= 1e-6 for at_s in began)
        if arrival in log.dropped:
            assert len(busy) == most_busy or edge
        else:
            assert len(busy) < most_busy
            began.append(arrival.time_s)


def test_nothing_is_dropped_while_an_allowed_user_is_free():
    """A hundred at once, a hundred users."""
    log = Log(answer_s=0.05)
    log.run(log.executor([0.01] * 101, most_busy=100))
    assert (len(log.ended), len(log.dropped), log.peak) == (100, 1, 100)


def test_late_arrivals_are_still_sent():
    """After something has blocked the event loop, all overdue arrivals are sent at once."""
    log = Log()
    log.time.call_at(START_S + 0.0205, lambda: log.time.spend(0.05))
    log.run(log.executor([number / 1000 for number in range(100)]))
    assert (len(log.began), len(log.dropped)) == (100, 0)
    lags_s = [at_s - arrival.time_s for arrival, at_s in log.began]
    assert lags_s[:21] == pytest.approx([0.0] * 21, abs=1e-6)
    assert lags_s[21:71] == pytest.approx([0.0705 - number / 1000 for number in range(21, 71)], abs=1e-6)
    assert lags_s[71:] == pytest.approx([0.0] * 29, abs=1e-6)


def test_answers_are_processed_while_the_executor_is_behind():
    """A thousand arrivals are overdue; an answer doesn't wait for all of them."""
    log = Log()
    heard = []
    running = log.start(log.executor([0.0] * 1000))
    log.time.advance_to(START_S - 1)
    # Due at the same time as the executor's alarm, and after it.
    log.time.call_at(START_S, lambda: heard.append(len(log.began)))
    log.time.advance_until(running.ready, within_s=2)
    assert len(log.began) == 1000
    assert heard == [32]


def test_stopping_sends_no_more_and_waits_for_the_answers():
    """As when Locust stops its users; stopping again changes nothing."""
    log = Log(answer_s=30)
    executor = log.executor([number / 100 for number in range(1000)])
    log.time.call_at(START_S + 0.155, executor.stop)
    assert log.run(executor) == pytest.approx(0.15 + 30)
    assert len(log.began) == len(log.ended) == 16
    executor.stop()


def test_a_killed_executor_leaves_no_user_behind():
    """Requests in flight are cut off."""
    log = Log(answer_s=30)
    running = log.start(log.executor([0.0] * 10))
    log.time.advance_to(START_S + 0.05)
    assert log.busy == 10
    running.kill()
    assert log.busy == 0
    assert log.ended == []


def test_a_run_without_arrivals_ends_at_once():
    """A worker may have none."""
    log = Log()
    assert log.run(log.executor([])) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("answer_s", "users"), [(0.0, 1), (0.0025, 3), (0.0205, 21)])
def test_a_steady_rate_needs_as_many_users_as_requests_in_flight(answer_s, users):
    """Users are reused; the pool grows with the requests in flight, not with the number sent."""
    log = Log(answer_s)
    executor = log.executor([number / 1000 for number in range(300)], most_busy=1000)
    log.run(executor)
    assert len(log.ended) == 300
    assert len(executor._users) == users


def test_it_is_on_time_by_the_system_clock_too():
    """The only test that waits: never early, and everything is sent."""
    sent_s: list[float] = []
    dropped: list[Arrival] = []
    arrivals = [Arrival(number / 1000, 0, number) for number in range(50)]
    executor = Executor(
        iter(arrivals),
        most_busy=5,
        perform=lambda _: sent_s.append(SYSTEM_ALARM_CLOCK.now_s()),
        drop=dropped.append,
    )
    start_s = SYSTEM_ALARM_CLOCK.now_s()
    with gevent.Timeout(20):
        executor.run(start_s)
    assert len(sent_s) == 50
    assert all(at_s >= start_s + arrival.time_s for arrival, at_s in zip(arrivals, sent_s, strict=True))
