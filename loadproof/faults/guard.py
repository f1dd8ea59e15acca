"""Undoes a run's faults when the process that does them is killed: `python -m loadproof.faults.guard`.

It hears on its standard input what is owed, a line of JSON each, and does nothing while somebody else is there to.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from loadproof.faults.command import CommandOrder, RunningCommand

if TYPE_CHECKING:
    from collections.abc import Iterable

_PATIENCE_S: Final = 2.0
"""Between SIGTERM and SIGKILL."""
_LOOK_S: Final = 0.05


class Guard:
    """The guard, as whoever does the faults sees it."""

    def __init__(self) -> None:
        # In a session of its own, so that whatever ends the other's group leaves it.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "loadproof.faults.guard"], stdin=subprocess.PIPE, start_new_session=True
        )

    def tell(self, what: str, number: int | str, owed: Any = True) -> None:
        """That this is owed, or with None no longer: `paused` and `running` a group, `undo` an order, `directory`.

        `undoing` is the group that does what an `undo` of the same number asks for.
        """
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        # Without it, everything else still works.
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps([what, number, owed]).encode() + b"\n")
            self._process.stdin.flush()

    def dismiss(self) -> None:
        """Nothing is owed any more."""
        self.tell("dismissed", 0)


@dataclass
class Debts:
    """By number or path, what somebody has begun and not ended."""

    paused: dict[int, Any] = field(default_factory=dict)
    running: dict[int, Any] = field(default_factory=dict)
    undo: dict[int, dict[str, Any]] = field(default_factory=dict)
    undoing: dict[int, int] = field(default_factory=dict)
    directory: dict[str, Any] = field(default_factory=dict)

    async def settle(self) -> None:
        for group in self.paused:
            _signal(group, signal.SIGCONT)
        _end(self.running)
        for number, order in self.undo.items():
            if number in self.undoing:
                # It may do harm a second time, and more while the first one is at it.
                _wait_for(self.undoing[number], order["longest_s"])
                continue
            with suppress(OSError):
                await (await RunningCommand.start(CommandOrder(**order))).wait()
        for directory in self.directory:
            shutil.rmtree(directory, ignore_errors=True)


def heard(lines: Iterable[bytes]) -> Debts:
    """What is owed when nobody says anything more."""
    debts = Debts()
    for line in lines:
        try:
            what, number, owed = json.loads(line)
        except ValueError:
            # Whoever wrote it was killed meanwhile.
            continue
        if what == "dismissed":
            return Debts()
        kind = getattr(debts, what)
        if owed is None:
            kind.pop(number, None)
        else:
            kind[number] = owed
    return debts


def _end(groups: Iterable[int]) -> None:
    """Politely at first."""
    left = list(groups)
    for number in (signal.SIGTERM, signal.SIGKILL):
        for group in left:
            _signal(group, number)
        until_s = time.monotonic() + _PATIENCE_S
        while (left := [group for group in left if _signal(group, 0)]) and time.monotonic() < until_s:
            time.sleep(_LOOK_S)


def _wait_for(group: int, longest_s: float) -> None:
    """And end what takes longer."""
    until_s = time.monotonic() + longest_s
    while _signal(group, 0) and time.monotonic() < until_s:
        time.sleep(_LOOK_S)
    _end([group])


def _signal(group: int, number: int) -> bool:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def main() -> None:
    # Were they ignored, the commands would inherit that, and ignore them, too.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    debts = heard(sys.stdin.buffer)
    asyncio.run(debts.settle())


if __name__ == "__main__":
    main()
