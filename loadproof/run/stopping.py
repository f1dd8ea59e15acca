"""SIGINT and SIGTERM, remembered until the run can end in order."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

from loadproof.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadproof.rundir.manifest import Ending


class StopSignal:
    """Remembers the first SIGINT or SIGTERM instead of being interrupted by it."""

    def __init__(self) -> None:
        self.number: int | None = None

    def __bool__(self) -> bool:
        return self.number is not None

    @contextmanager
    def installed(self) -> Iterator[None]:
        def remember(number: int, _: object) -> None:
            self.number = self.number or number

        before = {number: signal.signal(number, remember) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @property
    def ending(self) -> Ending:
        return "interrupted" if self.number == signal.SIGINT else "terminated"

    @property
    def exit_code(self) -> ExitCode:
        return ExitCode.INTERRUPTED if self.number == signal.SIGINT else ExitCode.TERMINATED

    @property
    def name(self) -> str:
        return "" if self.number is None else signal.Signals(self.number).name
