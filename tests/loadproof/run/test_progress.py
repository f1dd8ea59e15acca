"""The live line and the plain lines."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from loadproof.run import progress
from loadproof.run.progress import Progress, Tick

TICK = Tick(now_s=3.0, phase="steady", users=100, in_flight=2, sent=33, p95_s=0.0123, errors=0, throttled=0, dropped=0)


def lines_of(ticks, *, terminal=False, thresholds_so_far=lambda: "", duration_s=85.0):
    output = io.StringIO()
    console = Console(file=output, width=160, force_terminal=terminal)
    with Progress(console, duration_s=duration_s, thresholds_so_far=thresholds_so_far) as shown:
        for tick in ticks:
            shown.show(tick)
    return output.getvalue().splitlines()


def test_a_line_has_phase_time_left_users_rate_p95_and_errors():
    """All that one wants to know while waiting."""
    assert lines_of([TICK]) == ["steady · 82 s left · 100 users · 33 rps · p95 12.3 ms · 0 errors"]


def test_a_log_gets_a_line_every_ten_seconds_and_at_each_phase():
    """Not one a second."""
    ticks = [replace(TICK, now_s=float(second)) for second in range(1, 31)]
    assert len(lines_of(ticks)) == 3
    assert len(lines_of([TICK, replace(TICK, now_s=4.0, phase="bursts")])) == 2


def test_errors_throttled_and_dropped_add_up():
    """They are totals; the rest is of the last second."""
    ticks = [replace(TICK, errors=1, throttled=2, dropped=3), replace(TICK, now_s=20.0, errors=1, throttled=2)]
    assert lines_of(ticks)[-1].endswith("2 errors · 4 throttled · 3 dropped")


def test_a_terminal_gets_one_live_line():
    """Redrawn, and gone in the end."""
    text = "\n".join(lines_of([TICK, replace(TICK, now_s=4.0)], terminal=True))
    assert "steady · 81 s left" in text
    assert "\x1b[2K" in text


def test_thresholds_are_judged_now_and_then(monkeypatch):
    """Every five seconds, and more rarely when judging takes long: a twentieth of the time at most."""
    clock = iter([0.0, 1.0, 6.0, 7.0, 7.0, 8.0, 27.0, 28.0, 28.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    asked = []

    def judged() -> str:
        asked.append(1)
        return f"thresholds so far: {len(asked)} pass"

    lines = lines_of([replace(TICK, now_s=20.0 * n) for n in range(4)], thresholds_so_far=judged, duration_s=100.0)
    assert [line.rpartition("·")[2].strip() for line in lines] == [
        "0 errors",
        "thresholds so far: 1 pass",
        "thresholds so far: 1 pass",
        "thresholds so far: 2 pass",
    ]


@pytest.mark.parametrize("phase", ["[red]x[/red]", ""])
def test_a_phase_is_shown_as_text(phase):
    """Never as rich's markup; before the first phase it says so."""
    assert lines_of([replace(TICK, phase=phase)])[0].startswith(phase or "starting")
