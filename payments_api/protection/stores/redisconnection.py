"""One connection to Redis for all requests in flight; each command is answered or fails within its timeout."""

from __future__ import annotations

import asyncio
import functools
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from redis.asyncio import ConnectionPool
from redis.exceptions import ResponseError

if TYPE_CHECKING:
    from redis.asyncio.connection import AbstractConnection

_NO_TIMEOUTS: Final = {"socket_timeout": None, "socket_connect_timeout": None}
"""Overrides timeouts in the URL: the library measures from the last answer, not from the command."""

_READING_S: Final = 0.02
"""Time that a busy process is given to read answers that have arrived."""


class RedisConnection:
    """Pipelines commands, and sends those of one pass of the event loop in one piece.

    redis-py opens the connection and speaks its protocol. Its client isn't used: for each command it takes a connection
    from a pool, behind a lock and several timers, and keeps it until the answer arrives, which costs more than the rest
    of the request. After any failure the next command opens a new connection.
    """

    def __init__(self, url: str) -> None:
        pool = ConnectionPool.from_url(url)
        pool.connection_kwargs.update(_NO_TIMEOUTS)
        self._make_connection: Callable[[], AbstractConnection] = pool.make_connection
        self._line: _Line | None = None

    async def ask(self, *command: str | float, timeout_s: float) -> Any:
        """The server's answer; raises its ResponseError, or whatever ended the connection, within the timeout."""
        if self._line is None or self._line.is_over:
            self._line = _Line(self._make_connection())
        return await self._line.ask(command, timeout_s)

    async def aclose(self) -> None:
        if self._line is not None:
            await self._line.aclose()


class _Unanswered(NamedTuple):
    due_s: float
    """On the event loop's clock."""
    answer: asyncio.Future[Any]


class _Line:
    """A connection that is open or being opened; once over, it can't be reopened."""

    def __init__(self, connection: AbstractConnection) -> None:
        self.is_over = False
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._unsent: list[bytes] = []
        self._has_unsent = asyncio.Event()
        self._unanswered: deque[_Unanswered] = deque()
        self._alarm: asyncio.TimerHandle | None = None
        """One timer for all unanswered commands: one for each would cost more than the command."""
        self._alarm_is_last = False
        """It will end the line if a command is still late; a new command must not put that off."""
        self._tasks = [self._start(self._write)]

    def ask(self, command: tuple[str | float, ...], timeout_s: float) -> asyncio.Future[Any]:
        answer: asyncio.Future[Any] = self._loop.create_future()
        self._unsent += self._connection.pack_command(*command)
        self._has_unsent.set()
        due_s = self._loop.time() + timeout_s
        self._unanswered.append(_Unanswered(due_s, answer))
        if self._alarm is None or (due_s - _READING_S < self._alarm.when() and not self._alarm_is_last):
            self._set_alarm(due_s - _READING_S)
        return answer

    async def aclose(self) -> None:
        self._end(ConnectionError("closed"))
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        async def until_over() -> None:
            try:
                await work()
            except Exception as error:  # noqa: BLE001 - whatever it is, everyone who waits must get it
                self._end(error)

        return self._loop.create_task(until_over())

    async def _write(self) -> None:
        try:
            await self._connection.connect()  # type: ignore[no-untyped-call]
            self._tasks.append(self._start(self._read))
            while True:
                await self._has_unsent.wait()
                self._has_unsent.clear()
                unsent, self._unsent = self._unsent, []
                await self._connection.send_packed_command(unsent, check_health=False)
        finally:
            await self._connection.disconnect(nowait=True)

    async def _read(self) -> None:
        while True:
            try:
                value, error = await self._connection.read_response(), None
            except ResponseError as refusal:
                value, error = None, refusal
            # Remove the command even if nobody waits for it any more: answers arrive in order.
            answer = self._unanswered.popleft().answer
            if answer.done():
                continue
            if error is None:
                answer.set_result(value)
            else:
                answer.set_exception(error)

    def _set_alarm(self, at_s: float, *, is_last: bool = False) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_is_last = is_last
        self._alarm = self._loop.call_at(at_s, functools.partial(self._check_due, is_last=is_last))

    def _check_due(self, *, is_last: bool) -> None:
        self._alarm = None
        if not self._unanswered:
            return
        due_s, now_s = min(asked.due_s for asked in self._unanswered), self._loop.time()
        if due_s <= now_s and is_last:
            self._end(TimeoutError("no answer in time"))
        elif due_s - _READING_S > now_s:
            self._set_alarm(due_s - _READING_S)
        else:
            # If this process was too busy, an answer may have arrived that it hasn't read yet.
            self._set_alarm(max(due_s, now_s + _READING_S), is_last=True)

    def _end(self, error: Exception) -> None:
        self.is_over = True
        for task in self._tasks:
            task.cancel()
        if self._alarm is not None:
            self._alarm.cancel()
        while self._unanswered:
            answer = self._unanswered.popleft().answer
            if not answer.done():
                answer.set_exception(error)
