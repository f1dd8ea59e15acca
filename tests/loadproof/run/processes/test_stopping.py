"""Signals are remembered until a run can end."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from loadproof.run.processes.stopping import StopSignal


@pytest.fixture
def handled():
    """SIGHUP with a given handler; restored after the test."""
    before = signal.getsignal(signal.SIGHUP)
    yield lambda handler: signal.signal(signal.SIGHUP, handler)
    signal.signal(signal.SIGHUP, before)


def stopped_by(number: signal.Signals) -> StopSignal:
    stop_signal = StopSignal()
    with stop_signal.installed():
        os.kill(os.getpid(), number)
    return stop_signal


@pytest.mark.parametrize(
    ("number", "ending", "code"),
    [
        (signal.SIGINT, "interrupted", 130),
        (signal.SIGTERM, "terminated", 143),
        (signal.SIGHUP, "terminated", 143),
    ],
)
def test_a_signal_is_remembered_and_names_the_ending(handled: Callable[..., object], number, ending, code):
    """A closing terminal ends a run like SIGTERM."""
    # Without the handler, the signal would end this process.
    handled(lambda *_: None)
    stop_signal = stopped_by(number)
    assert (stop_signal.name, stop_signal.ending, stop_signal.exit_code) == (number.name, ending, code)


def test_a_hang_up_that_is_ignored_stays_ignored(handled: Callable[..., object]):
    """Under nohup, the run continues without its terminal."""
    handled(signal.SIG_IGN)
    assert not stopped_by(signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
