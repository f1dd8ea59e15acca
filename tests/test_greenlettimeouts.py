"""What a timeout does to a test that waits for ever beside a busy greenlet."""

from __future__ import annotations

import subprocess
import sys

import pytest

from drills.target import ROOT

WAITING = """
import gevent
from gevent.event import Event


def busy():
    while True:
        gevent.sleep(0)


def test_that_never_ends():
    for _ in range(2):
        gevent.spawn(busy)
    Event().wait()
"""


@pytest.mark.process
def test_a_timeout_that_strikes_another_greenlet_fails_the_test(tmp_path):
    """And not that greenlet only."""
    (tmp_path / "test_waiting.py").write_text(WAITING)
    arguments = ["--rootdir", tmp_path, "-p", "tests.greenlettimeouts", "-p", "no:cacheprovider", "--timeout", "1"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments, tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "test_that_never_ends - Failed: Timeout (>1.0s)" in done.stdout
