"""The system's alarms ring once, on time, and never after they are closed; their clock can't be faked."""

from __future__ import annotations

import time
from collections.abc import Callable

import gevent
import pytest

from loadproof.generator.dispatch.alarm import SYSTEM_ALARM_CLOCK, LoopAlarm, TimerFdAlarm

KINDS = pytest.mark.parametrize("kind", [TimerFdAlarm, LoopAlarm])
LEFT_ALONE_S = 0.03
"""Long enough for an alarm that must not ring to ring."""


def until(reached: Callable[[], object]) -> None:
    """Wait for a condition, however busy the machine is."""
    with gevent.Timeout(20):
        while not reached():
            gevent.sleep(0.001)


@KINDS
def test_an_alarm_rings_once_and_not_early(kind):
    """However often the loop iterates afterwards."""
    rung = []
    alarm = kind(lambda: rung.append(time.monotonic()))
    due_s = time.monotonic() + 0.02
    alarm.set(due_s)
    until(lambda: rung)
    gevent.sleep(LEFT_ALONE_S)
    alarm.close()
    (at_s,) = rung
    # libev's own timers may be early by the age of the loop's current time; a timerfd may not.
    assert at_s >= due_s - (0 if kind is TimerFdAlarm else 0.002)


@KINDS
@pytest.mark.parametrize("ago_s", [1.0, None])
def test_an_alarm_set_in_the_past_rings_at_once(kind, ago_s):
    """Even at 0, which a timerfd takes to mean never."""
    rung = []
    alarm = kind(lambda: rung.append(1))
    alarm.set(0.0 if ago_s is None else time.monotonic() - ago_s)
    until(lambda: rung)
    gevent.sleep(LEFT_ALONE_S)
    alarm.close()
    assert rung == [1]


@KINDS
def test_the_last_setting_counts(kind):
    """It replaces an earlier one, even if that was already due."""
    rung = []
    alarm = kind(lambda: rung.append(time.monotonic()))
    alarm.set(time.monotonic() - 1)
    later_s = time.monotonic() + 0.05
    alarm.set(later_s)
    until(lambda: rung)
    gevent.sleep(LEFT_ALONE_S)
    alarm.close()
    assert len(rung) == 1
    assert rung[0] >= later_s - 0.002


@KINDS
def test_a_closed_alarm_is_silent(kind):
    """Setting or closing it again does nothing."""
    rung = []
    alarm = kind(lambda: rung.append(1))
    alarm.set(time.monotonic() + 0.01)
    alarm.close()
    alarm.set(0.0)
    alarm.close()
    gevent.sleep(LEFT_ALONE_S)
    assert rung == []


def test_an_alarm_can_set_itself_again():
    """As the executor does."""
    rung = []

    def ring() -> None:
        rung.append(time.monotonic())
        if len(rung) < 5:
            alarm.set(rung[-1] + 0.005)

    alarm = SYSTEM_ALARM_CLOCK.alarm(ring)
    alarm.set(0.0)
    until(lambda: len(rung) == 5)
    gevent.sleep(LEFT_ALONE_S)
    alarm.close()
    assert len(rung) == 5
