"""What timeouts and timers do in tests with greenlets."""

from __future__ import annotations

import subprocess
import sys

import pytest

from drills.target import ROOT

TESTS = """
import time

import gevent
from gevent.event import Event


def test_that_takes_its_time():
    gevent.sleep(0.01)
    time.sleep(1)


def test_that_waits_after_it():
    sleeping = gevent.spawn(gevent.sleep, 0.1)
    gevent.joinall([sleeping], timeout=0.9)
    assert sleeping.ready()


def busy():
    while True:
        gevent.sleep(0)


def test_that_never_ends():
    for _ in range(2):
        gevent.spawn(busy)
    Event().wait()
"""


@pytest.mark.process
def test_a_timeout_ends_its_test_and_a_timer_counts_from_its_tests_begin(tmp_path):
    """Though the timeout strikes another greenlet, and the loop last looked at the clock a test ago."""
    (tmp_path / "test_waiting.py").write_text(TESTS)
    arguments = ["--rootdir", tmp_path, "-p", "tests.greenlettimeouts", "-p", "no:cacheprovider", "--timeout", "2"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments, tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "test_that_never_ends - Failed: Timeout (>2.0s)" in done.stdout
    assert "1 failed, 2 passed" in done.stdout
