"""Vital signs of this process and its machine: CPU time used, waited for and stolen, and how the clocks moved."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable


class VitalsReading(NamedTuple):
    """All in s, each since some arbitrary moment."""

    monotonic_s: float
    wall_s: float
    """Wall clock time, which may be set."""
    boot_s: float
    """Like the monotonic clock, but continues while the machine sleeps."""
    cpu_s: float
    """CPU time that this process used."""
    wait_s: float
    """Time it was ready to run while another process ran; 0 if the system doesn't report it."""
    steal_s: float
    """CPU time, over all cores, that the hypervisor gave to others; 0 if the system doesn't report it."""


class Vitals(NamedTuple):
    """Changes since the last reading; ratios are shares of one core, 0-1."""

    cpu_ratio: float
    wait_ratio: float
    steal_ratio: float
    """As a share of all cores."""
    clock_step_s: float
    """By how much the wall clock was set forward."""
    asleep_s: float
    """How long the machine slept."""


def read() -> VitalsReading:
    """The current reading. Source: proc_pid_schedstat(5): CPU time, time on a run queue, both in ns."""
    own = psutil.Process().cpu_times()
    on_linux = sys.platform == "linux"
    return VitalsReading(
        monotonic_s=time.monotonic(),
        wall_s=time.time(),
        boot_s=time.clock_gettime(time.CLOCK_BOOTTIME) if on_linux else time.monotonic(),
        cpu_s=own.user + own.system,
        wait_s=_waited_s(Path("/proc/self/schedstat")),
        steal_s=psutil.cpu_times().steal if on_linux else 0.0,
    )


def _waited_s(schedstat: Path) -> float:
    try:
        return int(schedstat.read_text(encoding="ascii").split()[1]) * 1e-9
    except (OSError, ValueError, IndexError):
        return 0.0


class VitalsClock:
    """Compares each reading with the previous one."""

    def __init__(self, read: Callable[[], VitalsReading] = read) -> None:
        self._read = read
        self._last = read()

    def since_last(self) -> Vitals:
        last, now = self._last, self._read()
        self._last = now
        wall_s = max(now.monotonic_s - last.monotonic_s, 1e-9)
        return Vitals(
            cpu_ratio=(now.cpu_s - last.cpu_s) / wall_s,
            wait_ratio=max(0.0, now.wait_s - last.wait_s) / wall_s,
            steal_ratio=max(0.0, now.steal_s - last.steal_s) / wall_s / (os.cpu_count() or 1),
            clock_step_s=(now.wall_s - last.wall_s) - (now.boot_s - last.boot_s),
            asleep_s=(now.boot_s - last.boot_s) - (now.monotonic_s - last.monotonic_s),
        )
