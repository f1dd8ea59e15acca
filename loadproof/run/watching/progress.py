"""Shows a run's progress, on a terminal (one live line) or in a log (plain lines)."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import suppress
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final, Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from loadproof.errors import Problem
from loadproof.run.watching.beside import Beside
from loadproof.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from loadproof.recording.announcements import Tick

_PLAIN_EVERY_S: Final = 10.0
_JUDGE_EVERY_S: Final = 5.0
_LAST_WORD_S: Final = 2.0
"""How long to wait at the end for a terminal to show what is still queued."""
_JUDGING_SHARE: Final = 20
"""Judging the data so far may take at most 1/20 of the time."""


class Progress:
    """Shows ticks in a separate thread, because a terminal that fails or stalls must not affect the run.

    `thresholds_so_far` is called regularly in the background for the state of the thresholds.
    """

    def __init__(
        self, console: Console, *, duration_s: float, thresholds_so_far: Callable[[], str] = lambda: ""
    ) -> None:
        self._console = console
        self._duration_s = duration_s
        self._judging = Beside[None, str](lambda _: thresholds_so_far())
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None
        self._totals = {"errors": 0, "throttled": 0, "dropped": 0}
        self._plain_at_s = 0.0
        self._phase = ""
        self._waiting: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        """Output still to be shown; None marks the end."""
        self._thread: threading.Thread | None = None
        self._has_failed = False

    @classmethod
    def silent(cls, duration_s: float) -> Self:
        """Shows nothing, for a run that is part of something longer."""
        # No terminal: there, a live line would also hide what others print.
        return cls(Console(quiet=True, force_terminal=False), duration_s=duration_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread is None:
            return
        if self._live is not None:
            self._waiting.put(self._live.stop)
        self._waiting.put(None)
        self._thread.join(_LAST_WORD_S)

    def say(self, text: str) -> None:
        """Show a line; never blocks, never fails."""
        self._later(lambda: self._print(text))

    def show(self, tick: Tick) -> None:
        """Show progress; never blocks, never fails."""
        self._later(lambda: self._show(tick))

    def _later(self, word: Callable[[], None]) -> None:
        self._waiting.put(word)
        if self._thread is None:
            # Started here, so that it inherits the niceness of the watching thread.
            self._thread = threading.Thread(target=self._show_what_waits, name="progress", daemon=True)
            with suppress(RuntimeError):
                self._thread.start()

    def _show_what_waits(self) -> None:
        while (word := self._waiting.get()) is not None:
            try:
                word()
            except (Exception, SystemExit) as error:  # noqa: BLE001 - rich exits if a pipe's reader is gone
                self._fail(error)

    def _fail(self, error: BaseException) -> None:
        """Report the first failure, if that is possible at all."""
        if self._has_failed:
            return
        self._has_failed = True
        what = f"can't be shown: {str(error) or type(error).__name__}"
        with suppress(Exception):
            sys.stderr.write(f"{Problem('progress', what, 'the run continues without it')}\n")

    def _print(self, text: str) -> None:
        # No wrapping: rich may take a log for a narrow terminal.
        self._console.print(Text(text), soft_wrap=True)

    def _show(self, tick: Tick) -> None:
        self._totals["errors"] += tick.errors
        self._totals["throttled"] += tick.throttled
        self._totals["dropped"] += tick.dropped
        self._judge()
        if self._live is not None:
            self._live.start()
            self._live.update(Text(self._line(tick), no_wrap=True, overflow="ellipsis"), refresh=True)
        elif tick.phase != self._phase or tick.now_s >= self._plain_at_s:
            self._plain_at_s = tick.now_s + _PLAIN_EVERY_S
            self._print(self._line(tick))
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
        thresholds = self._judging.latest
        return " · ".join([*parts, thresholds] if thresholds else parts)

    def _judge(self) -> None:
        """Ask for the state of the thresholds, less often if it takes long; after a failure the last state stays."""
        rest_s = max(_JUDGE_EVERY_S, _JUDGING_SHARE * self._judging.took_s)
        if time.monotonic() >= self._judging.ended_s + rest_s:
            self._judging.ask(None)
