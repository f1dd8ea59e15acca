"""The live line and the plain lines."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import threading
import time
from dataclasses import replace

import pytest
from rich.console import Console

from loadproof.recording.announcements import Tick
from loadproof.run.watching import progress
from loadproof.run.watching.progress import Progress

TICK = Tick(now_s=3.0, phase="steady", users=100, in_flight=2, sent=33, p95_s=0.0123, errors=0, throttled=0, dropped=0)


def lines_of(ticks, *, terminal=False, thresholds_so_far=lambda: "", duration_s=85.0):
    output = io.StringIO()
    console = Console(file=output, width=160, force_terminal=terminal)
    with Progress(console, duration_s=duration_s, thresholds_so_far=thresholds_so_far) as shown:
        for tick in ticks:
            shown.show(tick)
    return output.getvalue().splitlines()


def test_a_line_has_phase_time_left_users_rate_p95_and_errors():
    """Everything worth knowing while waiting."""
    assert lines_of([TICK]) == ["steady · 82 s left · 100 users · 33 rps · p95 12.3 ms · 0 errors"]


def test_a_log_gets_a_line_every_ten_seconds_and_at_each_phase():
    """Not one a second."""
    ticks = [replace(TICK, now_s=float(second)) for second in range(1, 31)]
    assert len(lines_of(ticks)) == 3
    assert len(lines_of([TICK, replace(TICK, now_s=4.0, phase="bursts")])) == 2


def test_errors_throttled_and_dropped_add_up():
    """They are totals; the other numbers are of the last second."""
    ticks = [replace(TICK, errors=1, throttled=2, dropped=3), replace(TICK, now_s=20.0, errors=1, throttled=2)]
    assert lines_of(ticks)[-1].endswith("2 errors · 4 throttled · 3 dropped")


def test_a_terminal_gets_one_live_line():
    """It is redrawn, and removed at the end."""
    text = "\n".join(lines_of([TICK, replace(TICK, now_s=4.0)], terminal=True))
    assert "steady · 81 s left" in text
    assert "\x1b[2K" in text


def test_a_silent_progress_shows_nothing(monkeypatch, capsys):
    """Nor does it take over a terminal, which would also hide what others print."""
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    with Progress.silent(85.0) as shown:
        shown.show(TICK)
        shown.say("hello")
        sys.stdout.write("others\n")
    assert capsys.readouterr().out == "others\n"


@pytest.mark.parametrize(("rested_s", "asked"), [(199, []), (201, [1])])
def test_thresholds_are_judged_regularly(rested_s, asked):
    """Every five seconds, or less often if judging takes long: at most a twentieth of the time."""
    found = []
    shown = Progress(Console(file=io.StringIO()), duration_s=85.0, thresholds_so_far=lambda: found.append(1) or "")
    shown._judging.took_s = 10
    shown._judging.ended_s = time.monotonic() - rested_s
    shown._judge()
    wait_until(lambda: not shown._judging.is_busy)
    assert found == asked


def wait_until(look) -> None:
    deadline_s = time.monotonic() + 20
    while not look():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def test_the_state_of_thresholds_is_shown_in_the_line(monkeypatch):
    """As soon as it is known."""
    monkeypatch.setattr(progress, "_JUDGE_EVERY_S", 0.0)
    output = io.StringIO()
    with Progress(Console(file=output, width=160), duration_s=85.0, thresholds_so_far=lambda: "4 pass") as shown:
        shown.show(TICK)
        wait_until(lambda: shown._judging.latest)
        shown.show(replace(TICK, now_s=20.0))
    assert output.getvalue().splitlines()[-1].endswith(" · 4 pass")


def for_ever() -> str:
    threading.Event().wait(60)
    return ""


def mistaken() -> str:
    raise ValueError("a mistake")


@pytest.mark.parametrize("thresholds_so_far", [for_ever, mistaken])
def test_judging_that_fails_or_never_ends_does_not_hold_up_lines(monkeypatch, thresholds_so_far):
    """Nor the end."""
    monkeypatch.setattr(progress, "_JUDGE_EVERY_S", 0.0)
    began_s = time.monotonic()
    ticks = [replace(TICK, now_s=20.0 * n) for n in range(4)]
    assert len(lines_of(ticks, thresholds_so_far=thresholds_so_far)) == 4
    assert time.monotonic() - began_s < 5


class Broken(io.StringIO):
    """As a terminal that went away, or an encoding without a dash."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def write(self, _: str) -> int:
        raise self._error


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), ValueError("not encodable"), RuntimeError("?")])
def test_a_terminal_that_fails_is_reported_once_and_ends_nothing(capsys, terminal, error):
    """On the other output; later output no longer goes through rich's live line."""
    console = Console(file=Broken(error), width=160, force_terminal=terminal)
    with Progress(console, duration_s=85.0, thresholds_so_far=lambda: "") as shown:
        for second in range(3):
            shown.show(replace(TICK, now_s=20.0 * second))
        shown.say("a line")
    told = capsys.readouterr().err
    assert told == f"progress: can't be shown: {error}; the run continues without it\n"
    assert not console._live_stack
    assert not console._render_hooks


@pytest.mark.slow
def test_a_stalled_terminal_does_not_block_the_run():
    """After Ctrl-S, or if a pipe isn't read: showing returns at once, and ending after a moment."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, b"x" * 65536)
    os.set_blocking(writing, True)
    file = os.fdopen(writing, "w", buffering=1)
    shown = Progress(Console(file=file, width=160), duration_s=85.0, thresholds_so_far=lambda: "")
    began_s = time.monotonic()
    with shown:
        for second in range(100):
            shown.show(replace(TICK, now_s=20.0 * second))
        shown_s = time.monotonic() - began_s
    ended_s = time.monotonic() - began_s
    os.set_blocking(reading, False)
    while shown._thread.is_alive():
        with contextlib.suppress(BlockingIOError):
            os.read(reading, 65536)
        time.sleep(0.01)
    file.close()
    os.close(reading)
    assert shown_s < 1
    assert ended_s < progress._LAST_WORD_S + 2


@pytest.mark.parametrize("phase", ["[red]x[/red]", ""])
def test_the_name_of_a_phase_is_shown_as_plain_text(phase):
    """Never as rich's markup; before the first phase, the line says `starting`."""
    assert lines_of([replace(TICK, phase=phase)])[0].startswith(phase or "starting")
