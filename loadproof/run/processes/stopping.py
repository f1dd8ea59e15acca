"""Remembers SIGINT, SIGTERM and SIGHUP until the run can end cleanly."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from loadproof.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from loadproof.rundir.manifest import Ending


_HEEDED: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""SIGHUP, which a closing terminal sends, ends a run like SIGTERM."""


class UnheededStopError(Exception):
    """The body of `heeded_within` did not end in time after a signal."""


class StopSignal:
    """Remembers the first SIGINT, SIGTERM or SIGHUP instead of interrupting the program; true once there was one."""

    def __init__(self) -> None:
        self.number: int | None = None
        self._arm: Callable[[], None] = _nothing

    def __bool__(self) -> bool:
        return self.number is not None

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Handle the signals during the body of this context, which must run in the main thread."""

        def remember(number: int, _: object) -> None:
            if self.number is None:
                self.number = number
                self._arm()

        # Under nohup, SIGHUP stays ignored: a run outlives its terminal.
        ignored = {signal.SIGHUP} if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else set()
        before = {number: signal.signal(number, remember) for number in _HEEDED if number not in ignored}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def heeded_within(self, patience_s: float) -> Iterator[None]:
        """UnheededStopError if the body of this context continues for longer than this after the signal.

        Whatever blocks the main thread, such as starting a thread without enough memory, is abandoned.
        """

        def leave(*_: object) -> None:
            raise UnheededStopError(f"did not end within {patience_s:g} s of {self.name}, and was left running")

        def arm() -> None:
            signal.setitimer(signal.ITIMER_REAL, patience_s)

        before = signal.signal(signal.SIGALRM, leave)
        self._arm = arm
        try:
            if self:
                self._arm()
            yield
        finally:
            self._arm = _nothing
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)

    @property
    def ending(self) -> Ending:
        return "interrupted" if self.number == signal.SIGINT else "terminated"

    @property
    def exit_code(self) -> ExitCode:
        return ExitCode.INTERRUPTED if self.number == signal.SIGINT else ExitCode.TERMINATED

    @property
    def name(self) -> str:
        return "" if self.number is None else signal.Signals(self.number).name


def _nothing() -> None:
    """Do nothing more on a signal than remember it."""
