"""One program while it runs, in a process group of its own: bounded in time and in what is kept of its output."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from asyncio.subprocess import DEVNULL, STDOUT
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import Callable, Mapping, Sequence

    from loadproof.rundir.commands import How

_KEPT_BYTES: Final = 64 << 10
"""The end of its output, where an error usually is."""
_CHUNK_BYTES: Final = 64 << 10
_PATIENCE_S: Final = 2.0
"""Between SIGTERM and SIGKILL."""
_LAST_WORDS_S: Final = 0.5
"""A process that left the group may keep its output open for ever."""


@dataclass(frozen=True)
class CommandOrder:
    """What to run; with the values of variables, so that it is written nowhere."""

    arguments: Sequence[str]
    environment: Mapping[str, str]
    directory: str
    longest_s: float


class RunningCommand:
    """Ended with all of its group, at the latest after `longest_s`."""

    def __init__(self, process: Process, printed: int, longest_s: float) -> None:
        """`printed` is the descriptor of a pipe from which its output is read."""
        self._process = process
        self._began_s = time.monotonic()
        self._took_s = 0.0
        self._how: How = "exited"
        self._output = b""
        self._watching = asyncio.create_task(self._watch(printed, longest_s))

    @classmethod
    async def start(cls, order: CommandOrder) -> RunningCommand:
        """OSError if there is no such program, or directory."""
        # With a pipe of asyncio's own, a process would not count as ended while others have its output.
        printed, prints = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *order.arguments,
                cwd=order.directory,
                env=order.environment,
                stdin=DEVNULL,
                stdout=prints,
                stderr=STDOUT,
                start_new_session=True,
            )
        except OSError:
            os.close(printed)
            raise
        finally:
            os.close(prints)
        return cls(process, printed, order.longest_s)

    @property
    def group(self) -> int:
        return self._process.pid

    @property
    def ended(self) -> dict[str, Any] | None:
        """How it ended, its exit code, seconds and output; None while it runs."""
        if not self._watching.done():
            return None
        output = self._output.decode(errors="replace")
        return {"how": self._how, "code": self._process.returncode, "took_s": self._took_s, "output": output}

    def stop(self) -> None:
        """It is on its way out when this returns."""
        if not self._watching.done():
            self._how = "stopped"
            self._signal(signal.SIGTERM)
            asyncio.get_running_loop().call_later(_PATIENCE_S, self._kill)

    def when_ended(self, call: Callable[[], None]) -> None:
        """Call this as soon as its group is gone."""
        self._watching.add_done_callback(lambda _: call())

    async def wait(self) -> None:
        await self._watching

    async def _watch(self, printed: int, longest_s: float) -> None:
        reader = asyncio.StreamReader()
        pipe, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(printed, "rb", 0)
        )
        with closing(pipe):
            reading = asyncio.create_task(self._read(reader))
            await self._end_in_time(longest_s)
            with suppress(TimeoutError):
                async with asyncio.timeout(_LAST_WORDS_S):
                    await reading

    async def _end_in_time(self, longest_s: float) -> None:
        try:
            async with asyncio.timeout(longest_s):
                await self._process.wait()
        except TimeoutError:
            self._how = "overdue" if self._how == "exited" else self._how
            self._signal(signal.SIGTERM)
            await self._wait_patiently()
        self._took_s = time.monotonic() - self._began_s
        # Whatever it has left running, too.
        self._signal(signal.SIGKILL)
        await self._wait_patiently()

    async def _wait_patiently(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_S):
                await self._process.wait()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while chunk := await reader.read(_CHUNK_BYTES):
            self._output = (self._output + chunk)[-_KEPT_BYTES:]

    def _kill(self) -> None:
        if not self._watching.done():
            self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        # It may have become somebody else's, by sudo.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.group, number)
