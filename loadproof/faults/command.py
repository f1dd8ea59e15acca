"""Runs a program in its own process group, with a limit on its time and on the output kept."""

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
"""From the end of its output, where errors usually are."""
_CHUNK_BYTES: Final = 64 << 10
_PATIENCE_S: Final = 2.0
"""Between SIGTERM and SIGKILL."""
_LAST_WORDS_S: Final = 0.5
"""How long to read on after its end: a process that left the group may keep the output open forever."""


@dataclass(frozen=True)
class CommandOrder:
    """What to run; contains the values of secret variables, so it must not be written anywhere."""

    arguments: Sequence[str]
    environment: Mapping[str, str]
    directory: str
    longest_s: float


class RunningCommand:
    """A running program, ended together with its process group, after `longest_s` at the latest."""

    def __init__(self, process: Process, printed: int, longest_s: float) -> None:
        """`printed` is the descriptor of the pipe to read its output from."""
        self._process = process
        self._began_s = time.monotonic()
        self._took_s = 0.0
        self._how: How = "exited"
        self._output = b""
        self._watching = asyncio.create_task(self._watch(printed, longest_s))

    @classmethod
    async def start(cls, order: CommandOrder) -> RunningCommand:
        """Start the program; OSError if the program or its directory doesn't exist."""
        # With asyncio's own pipe, a process wouldn't count as ended while others hold its output open.
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
        """How it ended (`how`), its exit code (`code`), seconds (`took_s`) and `output`; None while it runs."""
        if not self._watching.done():
            return None
        output = self._output.decode(errors="replace")
        return {"how": self._how, "code": self._process.returncode, "took_s": self._took_s, "output": output}

    def stop(self) -> None:
        """Ask the group to end, and kill it later; returns at once."""
        if not self._watching.done():
            self._how = "stopped"
            self._signal(signal.SIGTERM)
            asyncio.get_running_loop().call_later(_PATIENCE_S, self._kill)

    def when_ended(self, call: Callable[[], None]) -> None:
        """Call this once the program has ended and its group was killed."""
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
        # Also end whatever it left running.
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
        # The process may belong to another user by now, through sudo.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.group, number)
