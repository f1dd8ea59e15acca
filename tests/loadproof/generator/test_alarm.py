"""Alarms ring once, on time, and never again when closed."""

from __future__ import annotations

import time

import gevent
import pytest

from loadproof.generator.alarm import SYSTEM_ALARM_CLOCK, LoopAlarm, TimerFdAlarm

KINDS = pytest.mark.parametrize("kind", [TimerFdAlarm, LoopAlarm])


@KINDS
def test_an_alarm_rings_once_and_not_early(kind):
    """However often the loop goes round afterwards."""
    rung = []
    alarm = kind(lambda: rung.append(time.monotonic()))
    due_s = time.monotonic() + 0.02
    alarm.set(due_s)
    gevent.sleep(0.2)
    alarm.close()
    (at_s,) = rung
    # libev's own timers may come early by the age of the loop's idea of now, a timerfd may not.
    assert at_s >= due_s - (0 if kind is TimerFdAlarm else 0.002)


@KINDS
def test_a_moment_that_is_past_rings_at_once(kind):
    """Zero, which a timerfd takes for never, too."""
    for at_s in (0.0, time.monotonic() - 1):
        rung = []
        alarm = kind(lambda rung=rung: rung.append(1))
        alarm.set(at_s)
        gevent.sleep(0.05)
        alarm.close()
        assert rung == [1]


@KINDS
def test_the_last_setting_counts(kind):
    """An earlier one is forgotten, also when it was due already."""
    rung = []
    alarm = kind(lambda: rung.append(time.monotonic()))
    alarm.set(time.monotonic() - 1)
    later_s = time.monotonic() + 0.1
    alarm.set(later_s)
    gevent.sleep(0.2)
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
    gevent.sleep(0.05)
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
    gevent.sleep(0.2)
    alarm.close()
    assert len(rung) == 5
