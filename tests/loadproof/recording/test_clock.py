"""A run's processes get all time through one clock, and the fake clock keeps its promises."""

from __future__ import annotations

import re
from pathlib import Path

import gevent
import pytest
from gevent.event import Event
from hypothesis import given
from hypothesis import strategies as st

from loadproof.generator.dispatch.alarm import SYSTEM_ALARM_CLOCK
from loadproof.recording.clock import SYSTEM_CLOCK
from simulation.clock import FakeTime
from simulation.wire import Wire
from tests.commands import ROOT

PAST_THE_CLOCK = re.compile(
    r"\btime\.(time|monotonic|sleep|perf_counter)\b|gevent\.(sleep|Timeout|spawn_later|with_timeout)|\.timer\("
)
KNOWN = {
    "loadproof/generator/dispatch/alarm.py": "the system's alarms",
    "loadproof/generator/dispatch/executor.py": "lets its users end, also when it was killed",
    "loadproof/generator/plainlocust/beginnings.py": "a plain user's client tells the time of day at which it began",
    "loadproof/generator/plainlocust/following.py": "knows a timeout of gevent's",
    "loadproof/generator/plainlocust/heard.py": "knows a timeout of gevent's",
    "loadproof/generator/guards/leftovers.py": "processes that users' own code started take so long to end",
    "loadproof/generator/locustfile.py": "looks whether the parent process lives",
    "loadproof/generator/inspection/plaindryrun.py": "a dry run of plain users takes so long",
    "loadproof/generator/plainlocust/paces.py": "Locust's pace is by that clock",
    "loadproof/generator/crew/sockets.py": "says of strangers at most once a second that they came",
    "loadproof/recording/clock.py": "the system's clock",
    "loadproof/recording/vitals.py": "the system's readings",
    "loadproof/recording/locustcsv.py": "lets others run between two files",
    "loadproof/recording/locuststats.py": "Locust's statistics are by the wall clock",
}


def test_nothing_bypasses_the_clock():
    """In the processes of a run; the exceptions are listed, and still exist."""
    rooms = ("generator", "recording", "users")
    found = {
        str(file.relative_to(ROOT))
        for room in rooms
        for file in Path(ROOT, "loadproof", room).rglob("*.py")
        if PAST_THE_CLOCK.search(file.read_text())
    }
    assert found == set(KNOWN)


def test_the_system_clock_uses_the_systems_functions():
    """Reading the time is a single call of a C function."""
    for clock in (SYSTEM_CLOCK, SYSTEM_ALARM_CLOCK):
        assert type(clock.now_s) is type(clock.unix_s) is type(len)
        before_s = clock.now_s()
        clock.sleep(0.01)
        assert clock.now_s() - before_s >= 0.009


def test_time_only_moves_when_told_to():
    """Sleepers wake at their time, in order; each runs before the next one is due."""
    time = FakeTime()
    woken = []

    def sleep(seconds: float) -> None:
        time.clock().sleep(seconds)
        for _ in range(50):
            gevent.sleep(0)
        woken.append((seconds, time.now_s))

    for seconds in (3.0, 1.0, 2.0, 0.0):
        gevent.spawn(sleep, seconds)
    gevent.sleep(0.001)
    assert woken == []
    time.advance_to(2.5)
    assert woken == [(0.0, pytest.approx(0.0, abs=1e-8)), (1.0, 1.0), (2.0, 2.0)]
    assert time.now_s == 2.5
    time.advance_to(3.0)
    assert woken[-1] == (3.0, 3.0)


def test_a_sleeper_that_is_killed_leaves_nothing_behind():
    """Nothing is due any more."""
    time = FakeTime()
    sleeping = gevent.spawn(time.clock().sleep, 5.0)
    time.advance_to(1.0)
    sleeping.kill()
    with pytest.raises(AssertionError, match="still not so"):
        time.advance_until(lambda: time.now_s >= 5, within_s=10)
    assert time.now_s == 1.0


@given(st.integers(0, 1000))
def test_a_seed_fixes_the_order_of_what_is_due_at_the_same_time(seed):
    """The same every time; without a seed, it is the order of the calls."""

    def order(seed: int | None) -> list[int]:
        time, came = FakeTime(seed), []
        for number in range(20):
            time.call_at(1.0, lambda number=number: came.append(number))
        time.advance_to(1.0)
        return came

    assert order(seed) == order(seed) != order(None) == list(range(20))


def test_clocks_of_several_machines_share_one_time():
    """Each counts from its own start, and with its own wall clock."""
    time = FakeTime()
    one, other = time.clock(), time.clock(ahead_s=7.0, up_s=1000.0)
    rung = []
    alarm = other.alarm(lambda: rung.append(time.now_s))
    alarm.set(other.now_s() + 2.0)
    time.advance_to(5.0)
    assert (one.now_s(), other.now_s(), other.unix_s() - one.unix_s()) == (5.0, 1005.0, 7.0)
    assert rung == [pytest.approx(2.0)]
    alarm.set(0.0)
    alarm.close()
    alarm.set(0.0)
    time.advance_to(6.0)
    assert len(rung) == 1


def test_a_busy_greenlet_holds_up_all_others():
    """They are late by as much."""
    time = FakeTime()
    woken = []
    gevent.spawn(lambda: (time.clock().sleep(1.0), woken.append(time.now_s)))
    time.call_at(0.9, lambda: time.spend(0.5))
    time.advance_to(2.0)
    assert woken == [1.4]


def test_waiting_for_something_that_never_comes_is_an_error():
    """Instead of waiting forever."""
    time = FakeTime()
    gevent.spawn(Event().wait)
    with pytest.raises(AssertionError, match="still not so"):
        time.advance_until(lambda: False, within_s=10)


@given(st.lists(st.floats(0, 5), min_size=1, max_size=20), st.integers(0, 1000))
def test_messages_on_the_wire_never_overtake_each_other(ways_s, seed):
    """However long each takes; and tuples arrive as lists, as over Locust's sockets."""
    time = FakeTime(seed)
    ways = iter(ways_s)
    wire = Wire(time, lambda: [next(ways)])
    master, worker = wire.master(), wire.worker("w")
    heard = []
    master.register_message("told", lambda msg, **_: heard.append((msg.node_id, msg.data)))
    for number in range(len(ways_s)):
        worker.send_message("told", (number, "x"))
    time.advance_to(max(ways_s) + 1)
    assert heard == [("w", [number, "x"]) for number in range(len(ways_s))]
    wire.close()


def test_a_failing_listener_is_noted_and_the_next_message_is_heard():
    """As in Locust, except for the log."""
    time = FakeTime()
    wire = Wire(time)
    master, worker = wire.master(), wire.worker("w")
    heard = []

    def listen(msg, **_: object) -> None:
        heard.append(msg.data)
        if msg.data == 1:
            raise ZeroDivisionError

    worker.register_message("told", listen)
    for number in (1, 2):
        master.send_message("told", number, "w")
    time.advance_to(1.0)
    assert heard == [1, 2]
    assert [type(error) for error in wire.failures] == [ZeroDivisionError]
    wire.close()
