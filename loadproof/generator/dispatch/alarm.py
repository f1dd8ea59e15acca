"""Calls a function at a given time, accurate to a fraction of a millisecond: with a timerfd where available.

The event loop's own timers have a resolution of a millisecond, like epoll's timeout.
Source: timerfd_create(2), epoll_wait(2).
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from typing import TYPE_CHECKING, Final, Protocol

import gevent

from loadproof.recording.clock import Clock, SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable

_CLOCK_MONOTONIC: Final = 1
_NONBLOCK_CLOEXEC: Final = os.O_NONBLOCK | os.O_CLOEXEC
_ABSOLUTE: Final = 1
_READABLE: Final = 1
_NS: Final = 1_000_000_000


class Alarm(Protocol):
    """Calls a function on the hub, which must not wait."""

    def set(self, at_s: float) -> None:
        """Ring once when the clock's `now_s` reaches this time, or at once if it has passed.

        Replaces any earlier setting.
        """

    def close(self) -> None:
        """Cancel the alarm for good."""


class AlarmClock(Clock, Protocol):
    """A clock that can set alarms."""

    def alarm(self, ring: Callable[[], None]) -> Alarm:
        """An alarm on this clock, not yet set."""


class SystemAlarmClock(SystemClock):
    @staticmethod
    def alarm(ring: Callable[[], None]) -> Alarm:
        """The most accurate alarm that this system offers."""
        return TimerFdAlarm(ring) if sys.platform == "linux" else LoopAlarm(ring)


SYSTEM_ALARM_CLOCK: Final = SystemAlarmClock()


class TimerFdAlarm:
    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        # Python itself has these functions only since 3.13.
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._checked(self._libc.timerfd_create(_CLOCK_MONOTONIC, _NONBLOCK_CLOEXEC))
        self._setting = (ctypes.c_long * 4)()
        """struct itimerspec: seconds and nanoseconds of the interval, then of the moment."""
        self._watcher = gevent.get_hub().loop.io(self._fd, _READABLE)
        self._watcher.start(self._on_readable)

    def set(self, at_s: float) -> None:
        if self._fd < 0:
            return
        # Zero would mean never.
        self._setting[2], self._setting[3] = divmod(max(int(at_s * _NS), 1), _NS)
        self._checked(self._libc.timerfd_settime(self._fd, _ABSOLUTE, self._setting, None))

    def close(self) -> None:
        if self._fd >= 0:
            self._watcher.stop()
            self._watcher.close()
            os.close(self._fd)
            self._fd = -1

    def _on_readable(self) -> None:
        try:
            os.read(self._fd, 8)
        except BlockingIOError:
            return  # It was set again just after it fired.
        self._ring()

    def _checked(self, result: int) -> int:
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return result


class LoopAlarm:
    """Uses the event loop's own timers: up to a millisecond late."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._loop = gevent.get_hub().loop
        self._timer = self._loop.timer(0)
        self._is_closed = False

    def set(self, at_s: float) -> None:
        if self._is_closed:
            return
        self._timer.close()
        self._timer = self._loop.timer(max(0.0, at_s - time.monotonic()))
        # The loop's own time is as old as its last iteration.
        self._timer.start(self._ring, update=True)

    def close(self) -> None:
        self._is_closed = True
        self._timer.close()
