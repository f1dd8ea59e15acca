"""What a process measures about itself and its machine in a second."""

from __future__ import annotations

import os
import time

import psutil
import pytest

from loadproof.recording import vitals
from loadproof.recording.vitals import VitalsClock, VitalsReading

AT_REST = VitalsReading(monotonic_s=100.0, wall_s=1e9, boot_s=150.0, cpu_s=5.0, wait_s=1.0, steal_s=2.0)
A_SECOND_LATER = AT_REST._replace(monotonic_s=101.0, wall_s=1e9 + 1, boot_s=151.0)


def between(first: VitalsReading, second: VitalsReading) -> vitals.Vitals:
    readings = iter([first, second])
    return VitalsClock(lambda: next(readings)).since_last()


def test_an_idle_second_shows_nothing():
    """All clocks advance equally."""
    assert between(AT_REST, A_SECOND_LATER) == pytest.approx((0, 0, 0, 0, 0))


def test_ratios_are_of_one_core_but_stolen_time_of_all():
    """With a second's worth of each."""
    busy = A_SECOND_LATER._replace(cpu_s=5.5, wait_s=1.25, steal_s=2.0 + (os.cpu_count() or 1) * 0.5)
    assert between(AT_REST, busy)[:3] == pytest.approx((0.5, 0.25, 0.5))


@pytest.mark.parametrize("step_s", [30.0, -30.0])
def test_setting_the_wall_clock_is_distinguished_from_sleep(step_s):
    """A step only moves the wall clock; sleep moves the wall clock and the boot clock."""
    assert between(AT_REST, A_SECOND_LATER._replace(wall_s=1e9 + 1 + step_s))[3:] == pytest.approx((step_s, 0))
    slept = A_SECOND_LATER._replace(wall_s=1e9 + 31, boot_s=181.0)
    assert between(AT_REST, slept)[3:] == pytest.approx((0, 30))


@pytest.mark.slow
def test_this_process_uses_cpu_time():
    """Real readings: a busy tenth of a second on the CPU's own clock."""
    clock = VitalsClock()
    before_s = time.monotonic()
    until_s = time.process_time() + 0.1
    while time.process_time() < until_s:
        pass
    wall_s = time.monotonic() - before_s
    seen = clock.since_last()
    assert 0.05 / wall_s < seen.cpu_ratio < 0.2 / wall_s + 0.1
    assert abs(seen.clock_step_s) < 0.5
    assert abs(seen.asleep_s) < 0.5


@pytest.mark.process
def test_waiting_for_a_core_is_measured():
    """Two processes on the same core wait for each other, sooner or later."""
    cores = psutil.Process().cpu_affinity()
    rival = os.fork()
    if rival == 0:
        os.sched_setaffinity(0, {cores[0]})
        until_s = time.monotonic() + 20
        while time.monotonic() < until_s:
            pass
        os._exit(0)
    try:
        os.sched_setaffinity(0, {cores[0]})
        assert any(wait_ratio_of(0.1) > 0.1 for _ in range(100))
    finally:
        os.sched_setaffinity(0, cores)
        os.kill(rival, 9)
        os.waitpid(rival, 0)


def wait_ratio_of(busy_s: float) -> float:
    """The wait ratio of this much work without a pause."""
    clock, until_s = VitalsClock(), time.monotonic() + busy_s
    while time.monotonic() < until_s:
        pass
    return clock.since_last().wait_ratio


def test_a_system_that_does_not_report_it_shows_no_waiting(tmp_path):
    """No file, or one with other contents than expected."""
    assert vitals._waited_s(tmp_path / "none") == 0
    (tmp_path / "odd").write_text("one\n")
    assert vitals._waited_s(tmp_path / "odd") == 0
