"""Undoes a run's faults if the process that injects them is killed: `python -m loadproof.faults.guard`.

It reads from its standard input what has to be undone, one line of JSON each, and acts only when its input ends.
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
    """The guard, as seen by the process that injects the faults."""

    def __init__(self) -> None:
        # In its own session, so that it survives whatever kills this process's group.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "loadproof.faults.guard"], stdin=subprocess.PIPE, start_new_session=True
        )

    def tell(self, what: str, number: int | str, owed: Any = True) -> None:
        """Tell the guard that this has to be undone, or with `owed=None` no longer has to.

        `what` is one of `paused` and `running`, for a process group; `undo`, for a command's number, with the order
        that undoes it; `undoing`, for the same number, with the group that runs that order; `directory`, for a path.
        """
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        # Everything else still works without the guard.
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps([what, number, owed]).encode() + b"\n")
            self._process.stdin.flush()

    def dismiss(self) -> None:
        """Nothing has to be undone any more."""
        self.tell("dismissed", 0)


@dataclass
class Debts:
    """What was begun and not yet undone, by number or path."""

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
                # Undoing twice may do harm, all the more at the same time: wait for the one that is running.
                _wait_for(self.undoing[number], order["longest_s"])
                continue
            with suppress(OSError):
                await (await RunningCommand.start(CommandOrder(**order))).wait()
        for directory in self.directory:
            shutil.rmtree(directory, ignore_errors=True)


def heard(lines: Iterable[bytes]) -> Debts:
    """What has to be undone after the last line; nothing if the guard was dismissed."""
    debts = Debts()
    for line in lines:
        try:
            what, number, owed = json.loads(line)
        except ValueError:
            # The writer was killed in the middle of a line.
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
    """End these groups: SIGTERM first, then SIGKILL."""
    left = list(groups)
    for number in (signal.SIGTERM, signal.SIGKILL):
        for group in left:
            _signal(group, number)
        until_s = time.monotonic() + _PATIENCE_S
        while (left := [group for group in left if _signal(group, 0)]) and time.monotonic() < until_s:
            time.sleep(_LOOK_S)


def _wait_for(group: int, longest_s: float) -> None:
    """Wait for a group to end, and end it if it takes longer than this."""
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
    # Handlers instead of SIG_IGN, which the commands would inherit.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    debts = heard(sys.stdin.buffer)
    asyncio.run(debts.settle())


if __name__ == "__main__":
    main()
