"""The open model's engine: every arrival is sent at its time, or dropped, and none is forgotten."""

from __future__ import annotations

import time

import gevent
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadproof.generator.executor import Arrival, Executor


class Log:
    """What an executor did: arrivals that began, that ended, that were dropped; and when."""

    def __init__(self, answer_s: float = 0.0) -> None:
        self.answer_s = answer_s
        self.began: list[tuple[Arrival, float]] = []
        self.ended: list[Arrival] = []
        self.dropped: list[Arrival] = []
        self.busy = self.peak = 0

    def perform(self, arrival: Arrival) -> None:
        self.began.append((arrival, time.monotonic()))
        self.busy += 1
        self.peak = max(self.peak, self.busy)
        try:
            if self.answer_s:
                gevent.sleep(self.answer_s)
            self.ended.append(arrival)
        finally:
            self.busy -= 1

    def executor(self, times_s: list[float], most_busy: int = 100) -> Executor:
        arrivals = (Arrival(at_s, 0, number) for number, at_s in enumerate(times_s))
        return Executor(arrivals, most_busy=most_busy, perform=self.perform, drop=self.dropped.append)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 0.05), max_size=60), st.integers(1, 40), st.sampled_from([0.0, 0.001, 0.02]))
def test_every_arrival_is_sent_and_answered_or_dropped(times_s, most_busy, answer_s):
    """In order, never early, by at most so many users at once."""
    log = Log(answer_s)
    start_s = time.monotonic()
    log.executor(sorted(times_s), most_busy).run(start_s)
    assert sorted([*log.ended, *log.dropped]) == [Arrival(at_s, 0, n) for n, at_s in enumerate(sorted(times_s))]
    assert all(at_s >= start_s + arrival.time_s for arrival, at_s in log.began)
    assert log.peak <= most_busy
    assert log.busy == 0


def test_nothing_is_dropped_while_an_allowed_user_is_free():
    """A hundred at once, a hundred users."""
    log = Log(answer_s=0.05)
    log.executor([0.01] * 101, most_busy=100).run(time.monotonic())
    assert (len(log.ended), len(log.dropped), log.peak) == (100, 1, 100)


def test_what_is_late_is_sent_all_the_same():
    """After something held the event loop, all that came due is sent at once."""
    log = Log()
    start_s = time.monotonic()
    gevent.spawn_later(0.02, time.sleep, 0.1)
    log.executor([number / 1000 for number in range(100)]).run(start_s)
    lags_s = [at_s - start_s - arrival.time_s for arrival, at_s in log.began]
    assert (len(log.began), len(log.dropped)) == (100, 0)
    assert max(lags_s) > 0.05


def test_answers_have_their_turn_while_the_executor_is_behind():
    """A thousand arrivals are overdue; an answer that comes doesn't wait for all of them."""
    log = Log()
    heard = []
    executor = log.executor([0.0] * 1000)
    gevent.spawn(lambda: heard.append(len(log.began)))
    executor.run(time.monotonic() - 1)
    assert len(log.began) == 1000
    assert heard[0] < 200


def test_stopping_sends_no_more_and_waits_for_the_answers():
    """As Locust stops its users."""
    log = Log(answer_s=0.1)
    executor = log.executor([number / 100 for number in range(1000)])
    gevent.spawn_later(0.15, executor.stop)
    began_s = time.monotonic()
    executor.run(began_s)
    assert time.monotonic() - began_s < 2
    assert 0 < len(log.began) < 1000
    assert len(log.ended) == len(log.began)
    executor.stop()


def test_a_killed_executor_leaves_no_user_behind():
    """Those in flight are cut off."""
    log = Log(answer_s=30)
    running = gevent.spawn(log.executor([0.0] * 10).run, time.monotonic())
    gevent.sleep(0.05)
    assert log.busy == 10
    running.kill()
    assert log.busy == 0
    assert log.ended == []


def test_no_arrivals_is_over_at_once():
    """A worker may have none."""
    with gevent.Timeout(2):
        Log().executor([]).run(time.monotonic())


@pytest.mark.parametrize("answer_s", [0.0, 0.002])
def test_a_steady_rate_needs_few_users(answer_s):
    """Users are reused; the pool grows with what is in flight, not with what was sent."""
    log = Log(answer_s)
    executor = log.executor([number / 1000 for number in range(300)], most_busy=1000)
    executor.run(time.monotonic())
    assert len(log.ended) == 300
    assert len(executor._users) < 150
