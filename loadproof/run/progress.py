"""The run as it goes, for a terminal (one live line) or a log (plain lines)."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from rich.live import Live
from rich.text import Text

from loadproof.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from rich.console import Console

_PLAIN_EVERY_S: Final = 10.0
_JUDGING_SHARE: Final = 20
"""Judging what there is so far may take at most one part in so many of the time."""


@dataclass(frozen=True)
class Tick:
    """One second of the run, as the generator tells it."""

    now_s: float
    phase: str
    users: int | None
    """None in the open model."""
    in_flight: int
    sent: int
    p95_s: float
    errors: int
    throttled: int
    dropped: int


class Progress:
    """Shows ticks. `thresholds_so_far` is asked now and then for a word on the thresholds."""

    def __init__(self, console: Console, *, duration_s: float, thresholds_so_far: Callable[[], str]) -> None:
        self._console = console
        self._duration_s = duration_s
        self._thresholds_so_far = thresholds_so_far
        self._live = Live(console=console, refresh_per_second=2, transient=True) if console.is_terminal else None
        self._totals = {"errors": 0, "throttled": 0, "dropped": 0}
        self._thresholds = ""
        self._judge_at_s = time.monotonic() + 5
        self._plain_at_s = 0.0
        self._phase = ""

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, text: str) -> None:
        # A log's line stays one line, however narrow rich thinks the log is.
        self._console.print(Text(text), soft_wrap=True)

    def show(self, tick: Tick) -> None:
        self._totals["errors"] += tick.errors
        self._totals["throttled"] += tick.throttled
        self._totals["dropped"] += tick.dropped
        self._judge()
        if self._live is not None:
            self._live.update(Text(self._line(tick), no_wrap=True, overflow="ellipsis"))
        elif tick.phase != self._phase or tick.now_s >= self._plain_at_s:
            self._plain_at_s = tick.now_s + _PLAIN_EVERY_S
            self.say(self._line(tick))
        self._phase = tick.phase

    def _line(self, tick: Tick) -> str:
        left_s = max(0.0, self._duration_s - tick.now_s)
        parts = [
            f"{tick.phase or 'starting'}",
            f"{left_s:.0f} s left",
            f"{tick.in_flight} in flight" if tick.users is None else f"{tick.users} users",
            f"{tick.sent} rps",
            f"p95 {format_duration(tick.p95_s) if tick.p95_s else '–'}",
            f"{self._totals['errors']} errors",
        ]
        parts += [f"{self._totals[name]} {name}" for name in ("throttled", "dropped") if self._totals[name]]
        return " · ".join([*parts, self._thresholds] if self._thresholds else parts)

    def _judge(self) -> None:
        """Ask for the thresholds so far, the more rarely the longer it takes."""
        began_s = time.monotonic()
        if began_s < self._judge_at_s:
            return
        self._thresholds = self._thresholds_so_far()
        took_s = time.monotonic() - began_s
        self._judge_at_s = time.monotonic() + max(5.0, _JUDGING_SHARE * took_s)
