"""Timeouts and timers in tests with greenlets, and ends of threads in traced processes."""

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


@pytest.mark.long
@pytest.mark.process
def test_a_timeout_ends_its_test_and_timers_start_with_their_test(tmp_path):
    """Even if the timeout strikes another greenlet, and the loop last looked at the clock a test ago."""
    (tmp_path / "test_waiting.py").write_text(TESTS)
    arguments = ["--rootdir", tmp_path, "-p", "tests.greenlets", "-p", "no:cacheprovider", "--timeout", "2"]
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


ENDING = """
import faulthandler
import random
import threading
import time

import coverage

coverage.Coverage(data_file=None, source_pkgs=["json"]).start()


def work():
    for _ in range(random.randrange(20_000)):
        pass
    time.sleep(0)


def nothing():
    pass


end_s = time.monotonic() + 15
while time.monotonic() < end_s:
    faulthandler.dump_traceback_later(20, exit=True)
    threads = [threading.Thread(target=work) for _ in range(30)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        nothing()
"""


@pytest.mark.process
@pytest.mark.long
def test_traced_threads_may_end_together():
    """With our settings of coverage; without its plugin, it hangs if two threads end at the same time."""
    done = subprocess.run(
        [sys.executable, "-c", ENDING], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
